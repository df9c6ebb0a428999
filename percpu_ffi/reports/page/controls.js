// SPDX-License-Identifier: GPL-2.0-only
// Connects the controls of the page, and its colour scheme, to the charts.
//
// show         draws the moment of the slider
// switch_axis  puts the charts on the chosen axis
// painted      model, property, key of its colour
// charts       those that a drag zooms
const slider = document.getElementById("moment"), pins = document.getElementById("pins")
const update = () => show.execute(slider, {})

function paint() {
    const style = getComputedStyle(document.documentElement)
    for (const [model, name, key] of painted)
        model[name] = style.getPropertyValue(`--${key}`).trim()
}

// a picture has nothing for the keyboard; bokeh's charts have shadow roots
function skipOnTab(root) {
    for (const element of root.querySelectorAll("*")) {
        if (element.tabIndex >= 0) element.tabIndex = -1
        if (element.shadowRoot) skipOnTab(element.shadowRoot)
    }
}

for (const picture of document.querySelectorAll("[role=img]")) skipOnTab(picture)
paint()
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
    paint()
    update()
})
// a finger scrolls the page
if (matchMedia("(pointer: coarse)").matches)
    for (const chart of charts) chart.toolbar.active_drag = null

slider.addEventListener("input", update)
for (const radio of document.getElementsByName("colouring"))
    radio.addEventListener("change", update)
for (const radio of document.getElementsByName("axis"))
    radio.addEventListener("change", async () => {
        await switch_axis.execute(radio, {})
        update()
    })
document.getElementById("steps").addEventListener("click", (event) => {
    const {by, to} = event.target.closest("button")?.dataset ?? {}
    if (by) slider.value = Number(slider.value) + Number(by)  // it stays in its range
    else if (to) slider.value = to
    update()
})
// a click on a call site highlights its areas, or all areas again
pins.addEventListener("click", async (event) => {
    const button = event.target.closest("button")
    if (!button) return
    const site = button.dataset.site
    if (pins.dataset.site === site) delete pins.dataset.site
    else pins.dataset.site = site
    await update()
    pins.querySelector(`[data-site="${site}"]`)?.focus()  // the table was rebuilt
})
