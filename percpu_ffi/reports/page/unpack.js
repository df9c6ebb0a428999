// SPDX-License-Identifier: GPL-2.0-only
// Unpacks the patches, which chunks.py packed, and shows them.
const names = ["chunk", "start", "size", "kind", "born", "x", "first", "stay", "hint", "caller", "task"]

function columns(bytes) {
    const rows = bytes.length / (4 * names.length)
    const data = {}
    names.forEach((name, number) => {
        const at = 4 * number * rows
        const column = new Int32Array(rows)
        let value = 0
        for (let i = 0; i < rows; i++) {
            value += bytes[at + i] | bytes[at + rows + i] << 8 | bytes[at + 2 * rows + i] << 16 |
                     bytes[at + 3 * rows + i] << 24
            column[i] = value
        }
        data[name] = column
    })
    return data
}

async function unpack() {
    const bytes = Uint8Array.from(atob(packed), (letter) => letter.charCodeAt(0))
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"))
    patches.data = columns(new Uint8Array(await new Response(stream).arrayBuffer()))
    show.execute(document.getElementById("moment"), {})
}

unpack().catch((error) => {
    document.getElementById("now").textContent =
        `This browser cannot show the chunks (${error}); one of 2023 or later can.`
})
