// SPDX-License-Identifier: GPL-2.0-only
// Shows the chunks as they were at the moment that the slider tells.
//
// moments   a row for each position of the slider
// patches   what chunks show: stretches, with their first and last moment
// units, pages, areas   what is drawn: free space below, populated pages, areas in use
const now = slider.value
const p = patches.data, m = moments.data
const done = m.done[now], here = m.x[now]
const byAge = colouring.active === 1
const number = (value) => Math.round(value).toLocaleString("en")
const clock = (seconds) =>
    seconds >= 1 ? `${seconds.toFixed(3)} s` :
    seconds >= 1e-3 ? `${(seconds * 1e3).toFixed(2)} ms` : `${(seconds * 1e6).toFixed(0)} µs`

const u = {left: [], right: [], bottom: [], top: [], y: [], chunk: [], used: [], count: [], held: []}
const g = {left: [], right: [], bottom: [], top: []}
const a = {left: [], right: [], bottom: [], top: [], fill: [], size: [], align: [], site: [], age: [],
           chunk: []}
const unit = new Map()  // chunk: its row in u

function age(i) {
    const since = timed ? here - p.x[i] : done - p.born[i]
    if (!byAge) return [since, null]
    const share = since / Math.max(timed ? span : m.done[m.done.length - 1], 1e-9)
    const step = share <= 0 ? 0 : Math.round(ages.length + Math.log2(share) * 0.8) - 1
    return [since, ages[Math.min(Math.max(step, 0), ages.length - 1)]]
}

for (let i = 0; i < p.first.length; i++) {
    if (p.first[i] > now || p.last[i] < now) continue
    const kind = p.kind[i], left = p.start[i], right = p.end[i], top = -p.lane[i]
    const row = unit.get(p.chunk[i])
    if (kind === FREE_SPACE) {  // the first patch of each chunk
        unit.set(p.chunk[i], u.left.length)
        u.left.push(left); u.right.push(right); u.top.push(top - 0.06); u.bottom.push(top - 0.66)
        u.y.push(top - 0.45); u.chunk.push(p.chunk[i])
        u.used.push(0); u.count.push(0); u.held.push(0)
    } else if (kind === PAGES) {
        u.held[row] += right - left
        g.left.push(left); g.right.push(right); g.top.push(top - 0.70); g.bottom.push(top - 0.84)
    } else {
        const isStatic = kind === STATIC
        const [since, tint] = isStatic ? [0, null] : age(i)
        const site = isStatic ? 0 : kind_site[kind]
        u.used[row] += right - left
        u.count[row] += isStatic ? 0 : 1
        a.left.push(left); a.right.push(right); a.top.push(top - 0.06); a.bottom.push(top - 0.66)
        a.fill.push(isStatic ? static_colour : byAge ? tint : site_colours[site])
        a.size.push(isStatic ? right - left : kind_size[kind])
        a.align.push(isStatic ? "" : `, aligned to ${number(kind_align[kind])}`)
        a.site.push(isStatic ? "static area" : site_names[site])
        a.age.push(isStatic ? "there from the start"
                   : timed ? clock(since) : `${number(since)} operations`)
        a.chunk.push(p.chunk[i])
    }
}
units.data = u
pages.data = g
areas.data = a
lanes.ticks = u.y
for (const cursor of cursors) cursor.location = here

document.getElementById("legend-site").hidden = byAge
document.getElementById("legend-age").hidden = !byAge
const say = (id, text) => { document.getElementById(id).textContent = text }
say("now-when", timed ? clock(here) : `operation ${number(done)}`)
say("now-done", number(done))
say("now-live", number(m.live[now]))
say("now-held", number(m.held[now]))
say("now-stranded", number(m.stranded[now]))
say("now-fragmentation", `${(100 * m.fragmentation[now]).toFixed(1)} %`)
say("now-chunks", number(m.chunks[now]))
say("now-holes", number(m.holes[now]))
say("now-largest", number(m.largest[now]))
