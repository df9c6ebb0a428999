// SPDX-License-Identifier: GPL-2.0-only
// Shows the chunks as they were at the moment that the slider tells.
//
// moments   a row for each position of the slider
// patches   what chunks show: stretches, with their first moment and how many more they stay
// units, pages, areas   what is drawn: free space below, populated pages, areas in use
const p = patches.data, m = moments.data
if (!p.first) return  // not unpacked yet

const now = slider.value
const done = m.done[now], seconds = m.seconds[now]
const byAge = colouring.active === 1
const number = (value) => Math.round(value).toLocaleString("en")
const clock = (value) =>
    value >= 1 ? `${value.toFixed(3)} s` :
    value >= 1e-3 ? `${(value * 1e3).toFixed(2)} ms` : `${(value * 1e6).toFixed(0)} µs`

const u = {left: [], right: [], bottom: [], top: [], y: [], chunk: [], used: [], count: [], held: []}
const g = {left: [], right: [], bottom: [], top: [], chunk: []}
const a = {left: [], right: [], bottom: [], top: [], fill: [], size: [], align: [], site: [], age: [],
           chunk: []}
const row_of = new Map()  // chunk: its row in u

const age = (i) => timed ? Math.max(seconds - p.x[i] * tick, 0) : done - p.born[i]
const whole = timed ? seconds_in_all : m.done[m.done.length - 1]

function tint(since) {
    // each step is twice as old as the one before it
    const step = ages.length + Math.ceil(Math.log2(since / whole + 1e-12))
    return ages[Math.min(Math.max(step, 0), ages.length - 1)]
}

for (let i = 0; i < p.first.length; i++) {
    if (p.first[i] > now || p.first[i] + p.stay[i] < now) continue
    const kind = p.kind[i], chunk = p.chunk[i], left = p.start[i], right = left + p.size[i]
    const top = -lane_of[chunk]
    const row = row_of.get(chunk)
    if (kind === FREE_SPACE) {  // the first patch of each chunk
        row_of.set(chunk, u.left.length)
        u.left.push(left); u.right.push(right); u.top.push(top - 0.06); u.bottom.push(top - 0.66)
        u.y.push(top - 0.45); u.chunk.push(chunk); u.used.push(0); u.count.push(0); u.held.push(0)
        continue
    }
    if (kind === PAGES) {
        u.held[row] += right - left
        g.left.push(left); g.right.push(right); g.top.push(top - 0.70); g.bottom.push(top - 0.84)
        g.chunk.push(chunk)
        continue
    }
    u.used[row] += right - left
    a.left.push(left); a.right.push(right); a.top.push(top - 0.06); a.bottom.push(top - 0.66)
    a.chunk.push(chunk)
    if (kind === STATIC) {
        a.fill.push(static_colour); a.size.push(right - left); a.align.push("")
        a.site.push("static area"); a.age.push("there from the start")
        continue
    }
    u.count[row] += 1
    const since = age(i), site = kind_site[kind]
    a.fill.push(byAge ? tint(since) : site_colours[site])
    a.size.push(kind_size[kind]); a.align.push(`, aligned to ${number(kind_align[kind])}`)
    a.site.push(site_names[site]); a.age.push(timed ? clock(since) : `${number(since)} operations`)
}
for (const key of ["used", "count", "held"])
    g[key] = g.chunk.map((chunk) => u[key][row_of.get(chunk)])
units.data = u
pages.data = g
areas.data = a
lanes.ticks = u.y
for (const cursor of cursors) cursor.location = m.x[now]

document.getElementById("legend-site").hidden = byAge
document.getElementById("legend-age").hidden = !byAge
const say = (id, text) => { document.getElementById(id).textContent = text }
say("now-when", timed ? clock(seconds) : `operation ${number(done)}`)
say("now-done", number(done))
say("now-live", number(m.live[now]))
say("now-held", number(m.held[now]))
say("now-stranded", number(m.stranded[now]))
say("now-fragmentation", `${(100 * m.share[now]).toFixed(1)} %`)
say("now-chunks", number(m.chunks[now]))
say("now-holes", number(m.holes[now]))
say("now-largest", number(m.largest[now]))
