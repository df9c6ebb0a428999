// SPDX-License-Identifier: GPL-2.0-only
// Shows the chunks at the moment of the slider.
//
// moments   a row for each position of the slider
// patches   ranges of chunks, with their first moment and how many more they stay
// units, pages, areas, ...   what is drawn: free space below, populated pages, areas
// rows      where they are in a chunk's line
// no_areas  patches in the row of areas: kind, name, what follows the size, age
// states    patches that cover a chunk: kind, what follows its name, the same short, is outlined
// kept      chunks that no area pins
// pins      a table: call sites with areas in chunks; the selected one is highlighted
const p = patches.data, m = moments.data
if (!p.first) return  // not unpacked yet

const slider = document.getElementById("moment"), now = Number(slider.value)
const done = m.done[now], seconds = m.seconds[now]
const byAge = document.querySelector("[name=colouring]:checked").value === "age"
const style = getComputedStyle(document.documentElement)
const colour = (key) => style.getPropertyValue(`--${key}`).trim()
const fixed_colour = colour("static"), faint = colour("faint")
const site_colours = site_keys.map(colour), age_colours = ages.map(colour)
const number = (value) => Math.round(value).toLocaleString("en")
const clock = (value) =>
    value >= 1 ? `${value.toFixed(3)} s` :
    value >= 1e-3 ? `${(value * 1e3).toFixed(2)} ms` : `${(value * 1e6).toFixed(0)} µs`

const spoken = (value) =>
    value >= 1 ? `${value.toFixed(3)} seconds` :
    value >= 1e-3 ? `${(value * 1e3).toFixed(2)} milliseconds` :
    `${(value * 1e6).toFixed(0)} microseconds`
const counted = (count, noun) => `${number(count)} ${noun}${count === 1 ? "" : "s"}`

const table = document.getElementById("pins")
const selected = "site" in table.dataset ? Number(table.dataset.site) : null
const MOST_SITES = 5, MOST_NAMED = 2, MOST_LETTERS = 120
// a tooltip has no room for more
const short = (name) =>
    name.length > MOST_LETTERS ? `${name.slice(0, MOST_LETTERS - 1)}…` : name
const tip_names = site_names.map(short)

const columns = (names) => Object.fromEntries(names.split(" ").map((name) => [name, []]))
const box = "left right bottom top chunk"
const u = columns(box + " y name short_name mark used count held hidden")
const g = columns(box), e = columns(box), h = columns(box), o = columns(box)
const b = columns(box + " shade hint blocks")
const a = columns(box + " fill size align site caller task age name")
function push(to, row) {
    for (const name in row) to[name].push(row[name])
}
const by_kind = (rows) => new Map(rows.map(([kind, ...row]) => [kind, row]))
const no_area_of = by_kind(no_areas), state_of = by_kind(states)
const row_of = new Map()  // chunk: its row in u
const sites_of = new Map()  // chunk: site: bytes
const pins = new Map()  // site: its row in the table

const age = (i) => timed ? Math.max(seconds - p.x[i] * tick, 0) : done - p.born[i]
const oldest = timed ? trace_seconds : m.done[m.done.length - 1]

function tint(since) {
    const step = ages.length - 1 + Math.ceil(Math.log2(since / oldest + 1e-12))
    return age_colours[Math.min(Math.max(step, 0), ages.length - 1)]
}

for (let i = 0; i < p.first.length; i++) {
    if (p.first[i] > now || p.first[i] + p.stay[i] < now) continue
    const kind = p.kind[i], chunk = p.chunk[i], left = p.start[i], right = left + p.size[i]
    const lane = -lane_of.at(chunk)
    const on = (row) => ({left, right, top: lane - rows[row][0], bottom: lane - rows[row][1], chunk})
    const row = row_of.get(chunk)
    if (kind === FREE_SPACE) {  // the first patch of each chunk
        const name = chunk < 0 ? "reserved chunk" : `chunk ${chunk}`
        row_of.set(chunk, u.left.length)
        sites_of.set(chunk, new Map())
        push(u, {...on("areas"), y: lane - 0.45, name, short_name: chunk < 0 ? "reserved" : name,
                 mark: "", used: 0, count: 0, held: 0, hidden: 0})
        continue
    }
    if (kind === PAGES) {
        u.held[row] += right - left
        push(g, on("pages"))
        continue
    }
    if (kind === EMPTY_PAGES) {
        push(e, on("pages"))
        continue
    }
    if (kind === BLOCKS) {
        const first = left / page_size, last = right / page_size - 1, hint = p.hint[i]
        push(b, {...on("blocks"), hint, shade: 1 - 0.92 * hint / page_size,
                 blocks: first === last ? number(first) : `${number(first)} to ${number(last)}`})
        continue
    }
    if (kind === HIDDEN) {
        u.hidden[row] = 1  // its bytes follow
        push(h, on("areas"))
        continue
    }
    if (state_of.has(kind)) {
        const [name, mark, is_outlined] = state_of.get(kind)
        u.name[row] += `, ${name}`
        u.mark[row] = mark
        if (is_outlined) push(o, on("areas"))
        continue
    }
    push(a, {...on("areas"), name: u.name[row]})
    if (kind !== OLD_AREA) u.used[row] += right - left
    if (no_area_of.has(kind)) {
        const [site, align, age] = no_area_of.get(kind)
        push(a, {fill: fixed_colour, size: right - left, align, site, caller: "", task: "", age})
        continue
    }
    u.count[row] += 1
    const since = age(i), site = kind_site[kind]
    const sites = sites_of.get(chunk)
    if (!pins.has(site)) pins.set(site, {site, chunks: 0, alone: 0, areas: 0, bytes: 0})
    const of_site = pins.get(site)
    of_site.areas += 1
    of_site.bytes += right - left
    if (!sites.has(site)) of_site.chunks += 1
    sites.set(site, (sites.get(site) || 0) + right - left)
    const chosen = selected === null || selected === site
    push(a, {fill: !chosen ? faint : byAge ? tint(since) : site_colours[site],
             size: kind_size[kind], align: `, aligned to ${number(kind_align[kind])}`,
             site: tip_names[site], caller: short(callers[p.caller[i]]),
             task: short(tasks[p.task[i]]), age: timed ? clock(since) : `${number(since)} operations`})
}
u.pinned_by = u.chunk.map((chunk) => {
    const sites = [...sites_of.get(chunk)].sort((one, other) => other[1] - one[1])
    if (sites.length === 1 && !kept.includes(chunk)) pins.get(sites[0][0]).alone += 1
    const named = sites.slice(0, MOST_NAMED).map(([site, bytes]) =>
        `${tip_names[site]} (${number(bytes)} bytes)`)
    if (sites.length > MOST_NAMED) named.push(`${sites.length - MOST_NAMED} others`)
    return named.join(", ") || "no area"
})
u.hidden = u.hidden.map((hidden, i) => hidden && u.right[i] - u.left[i] - u.used[i])
for (const key of ["name", "used", "count", "held", "pinned_by", "hidden"])
    for (const strip of [g, e]) strip[key] = strip.chunk.map((chunk) => u[key][row_of.get(chunk)])
for (const [source, data] of [[units, u], [pages, g], [empty, e], [hidden, h], [apart, o],
                              [blocks, b], [areas, a]])
    source.data = data
lanes.ticks = u.y.filter((_, i) => lane_of.at(u.chunk[i]) % named === 0)
for (const cursor of cursors) cursor.location = m.x[now]

document.getElementById("legend-site").hidden = byAge
document.getElementById("legend-age").hidden = !byAge
const setText = (id, text) => { document.getElementById(id).textContent = text }
setText("now-when", timed ? clock(seconds) : `operation ${number(done)}`)
setText("now-done", number(done))
for (const [name, is_share] of figures) {
    const value = m[name][now]
    setText(`now-${name}`, is_share ? `${(100 * value).toFixed(1)} %` : number(value))
}

const all = [...pins.values()].sort((one, other) =>
    other.chunks - one.chunks || other.bytes - one.bytes ||
    (site_names[one.site] < site_names[other.site] ? -1 : 1))
// the selected one stays in the table
const shown = all.filter((row, i) => i < MOST_SITES || row.site === selected)
function fill(body, rows) {  // the first cell of a row is its header
    body.replaceChildren(...rows.map(([head, ...cells]) => {
        const row = document.createElement("tr"), header = document.createElement("th")
        header.scope = "row"
        header.append(head)
        row.append(header)
        for (const cell of cells) row.insertCell().textContent = cell
        return row
    }))
}
fill(table, shown.map(({site, chunks, alone, areas, bytes}) => {
    const button = document.createElement("button"), mark = document.createElement("i")
    const name = document.createElement("bdi")
    mark.style.background = `var(--${site_keys[site]})`
    name.append(site_names[site])
    button.type = "button"
    button.dataset.site = site
    button.setAttribute("aria-pressed", site === selected)
    button.append(mark, name)
    return [button, ...[chunks, alone, areas, bytes].map(number)]
}))
setText("more-pins", all.length > shown.length ? `and ${number(all.length - shown.length)} more.` :
    all.length ? "" : "No area is live at this moment.")
fill(document.getElementById("lanes"),
     [...row_of].sort(([one], [other]) => one - other).map(([chunk, i]) => [
         u.name[i], ...[u.count[i], u.used[i], u.held[i]].map(number),
         ...(document.getElementById("hidden-head") ? [number(u.hidden[i])] : []), u.pinned_by[i]]))

const which = done === worst ? "worst moment: " : done === peak ? "peak of live bytes: " : ""
const when = `${which}${timed ? `${spoken(seconds)}, ` : ""}${counted(done, "operation")} done`
slider.setAttribute("aria-valuetext", when)
document.getElementById("map").setAttribute("aria-label",
    `The chunks, ${when}: ${counted(m.chunks[now], "chunk")} with ` +
    `${counted(u.count.reduce((sum, count) => sum + count, 0), "area")}, ` +
    `${number(m.live[now])} live bytes, ${number(m.held[now])} ${held_where}.`)
