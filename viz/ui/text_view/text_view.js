// Built from src/text_view.ts by npm run build. sha256: da28cea0200b6fc4517d870ea0e817b83e7be81f0af2cc9f5fbd45c883a3078d
/**
 * A document of any length, coloured span by span. Only the rows that are in view exist as elements.
 *
 * The data is one block of bytes: the length of a header (uint32), the header (JSON), the text (UTF-16), where each span
 * begins in it (int32), its token (int32) and its value (float32; NaN has no colour), each part aligned to 8 bytes.
 */
const ROW = 26;
const TALLEST = 12_000_000; // browsers cap the height of an element; beyond it the scroll bar stands for shares of it
const WORST = 200;
const WINDOW = 64; // tokens whose mean is a passage's value
const COLOURS = { light: ["0,114,178", "213,94,0"], dark: ["92,179,234", "240,128,60"], mark: "0,158,115" };
class TextView {
    header;
    text = "";
    starts = new Int32Array(0);
    tokens = new Int32Array(0);
    values = new Float32Array(0);
    rows = new Int32Array(0);
    rowCount = 0;
    width = 0;
    cursor = -1;
    found = [];
    sought = "";
    worst = [];
    worstAt = -1;
    drawn = new Map();
    frame = 0;
    bytes;
    report = () => { };
    pressed = -1; // the span where a drag began, the one that it has reached, and whether it has left the first
    reached = -1;
    dragged = false;
    otherEnd = -1; // the span that was marked first by key
    root = element("div", "view");
    search = document.createElement("input");
    status = element("span", "status");
    scroller = element("div", "scroller");
    spacer = element("div", "spacer");
    map = document.createElement("canvas");
    hint = element("div", "hint");
    controls = {};
    observer = new ResizeObserver(() => this.layOut(false));
    constructor(parent) {
        const bar = element("div", "bar");
        this.search.type = "search";
        this.status.setAttribute("aria-live", "polite");
        this.scroller.tabIndex = 0;
        this.scroller.setAttribute("role", "region");
        this.scroller.append(this.spacer);
        this.hint.setAttribute("role", "tooltip");
        bar.append(this.search, this.button("found_before", "‹", () => this.stepFound(-1)), this.button("found_after", "›", () => this.stepFound(1)), this.button("worst_before", "▲", () => this.stepWorst(-1)), this.button("worst_after", "▼", () => this.stepWorst(1)), this.button("to_moment", "◎", () => this.showMoment()), this.status);
        const body = element("div", "body");
        body.append(this.scroller, this.map);
        this.root.append(bar, body, this.hint);
        parent.append(this.root);
        this.search.addEventListener("input", () => this.seek(this.search.value));
        this.search.addEventListener("keydown", event => {
            if (event.key === "Enter")
                this.stepFound(event.shiftKey ? -1 : 1);
            event.stopPropagation(); // letters are no shortcuts of the page while one types
        });
        this.scroller.addEventListener("scroll", () => this.schedule(), { passive: true });
        this.scroller.addEventListener("wheel", event => this.wheel(event), { passive: false });
        this.scroller.addEventListener("keydown", event => this.key(event));
        this.scroller.addEventListener("pointermove", event => this.hover(event));
        this.scroller.addEventListener("pointerleave", () => (this.hint.style.display = "none"));
        this.scroller.addEventListener("pointerdown", event => {
            this.pressed = event.button === 0 && event.pointerType !== "touch" ? spanOf(event) : -1;
            this.reached = this.pressed;
            this.dragged = false;
        });
        this.scroller.addEventListener("pointerup", event => {
            if (this.pressed < 0)
                return;
            if (spanOf(event) >= 0)
                this.reached = spanOf(event);
            this.dragged = this.reached !== this.pressed;
            if (this.dragged)
                this.mark(this.pressed, this.reached);
            this.pressed = -1;
        });
        this.scroller.addEventListener("click", event => {
            const span = spanOf(event);
            if (span < 0 || this.dragged)
                return;
            if (event.shiftKey && this.cursor >= 0)
                this.mark(this.cursor, span);
            else if (!getSelection()?.toString())
                this.choose(span);
        });
        this.map.addEventListener("pointerdown", event => {
            this.map.setPointerCapture(event.pointerId);
            this.fromMap(event);
        });
        this.map.addEventListener("pointermove", event => event.buttons && this.fromMap(event));
        this.watch();
    }
    watch() {
        this.observer.observe(this.scroller);
    }
    stop() {
        this.observer.disconnect();
    }
    update(bytes, report) {
        this.report = report;
        if (this.bytes && same(this.bytes, bytes))
            return;
        this.bytes = bytes;
        const before = this.text;
        const looked = this.header?.moment ?? null;
        this.read(bytes);
        const { words, dark } = this.header;
        this.root.classList.toggle("dark", dark);
        this.search.placeholder = words.search;
        this.search.setAttribute("aria-label", words.search);
        this.scroller.setAttribute("aria-label", words.text);
        this.map.setAttribute("aria-label", words.map);
        this.map.setAttribute("role", "img");
        for (const [name, button] of Object.entries(this.controls))
            button.title = button.ariaLabel = words[name];
        this.rank();
        if (before !== this.text) {
            this.cursor = -1;
            this.scroller.scrollTop = 0;
        }
        this.root.classList.toggle("plain", !this.header.places.length);
        this.layOut(before !== this.text);
        if (this.header.moment !== looked)
            this.showMoment();
        else if (this.cursor >= 0)
            this.status.textContent = this.describe(this.cursor);
    }
    /** Take the parts out of the bytes. */
    read(bytes) {
        const block = bytes.slice().buffer;
        const length = new DataView(block).getUint32(0, true);
        this.header = JSON.parse(new TextDecoder().decode(new Uint8Array(block, 4, length)));
        let at = align(4 + length);
        const { units, spans } = this.header;
        this.text = new TextDecoder("utf-16le", { ignoreBOM: true }).decode(new Uint8Array(block, at, 2 * units));
        at = align(at + 2 * units);
        this.starts = new Int32Array(block, at, spans);
        at = align(at + 4 * spans);
        this.tokens = new Int32Array(block, at, spans);
        at = align(at + 4 * spans);
        this.values = new Float32Array(block, at, spans);
    }
    /** Break the text into rows of the present width, and draw. */
    layOut(anew) {
        const width = this.scroller.clientWidth - (this.header.places.length ? 84 : 28);
        if (width <= 0 || (!anew && width === this.width && this.rowCount))
            return this.redraw();
        const place = this.rowCount && !anew ? this.rows[Math.floor(this.top())] : 0;
        this.width = width;
        [this.rows, this.rowCount] = broken(this.text, width, this.scroller);
        this.spacer.style.height = `${Math.min(this.rowCount * ROW, TALLEST)}px`;
        if (place)
            this.scrollTo(this.rowAt(place));
        this.redraw();
    }
    redraw() {
        for (const row of this.drawn.values())
            row.remove();
        this.drawn.clear();
        this.drawMap();
        this.draw();
    }
    schedule() {
        if (!this.frame)
            this.frame = requestAnimationFrame(() => ((this.frame = 0), this.draw()));
    }
    /** Rows that fit, and the row at the top, as a number with a fraction. */
    visible() {
        return this.scroller.clientHeight / ROW;
    }
    scaled() {
        return this.rowCount * ROW > TALLEST;
    }
    top() {
        if (!this.scaled())
            return this.scroller.scrollTop / ROW;
        const range = TALLEST - this.scroller.clientHeight;
        return (this.scroller.scrollTop / range) * (this.rowCount - this.visible());
    }
    scrollTo(row) {
        const wanted = Math.max(0, Math.min(row, this.rowCount - this.visible()));
        const range = TALLEST - this.scroller.clientHeight;
        this.scroller.scrollTop = this.scaled() ? (wanted / (this.rowCount - this.visible())) * range : wanted * ROW;
        this.schedule();
    }
    wheel(event) {
        if (!this.scaled() || event.ctrlKey)
            return;
        event.preventDefault();
        this.scrollTo(this.top() + (event.deltaMode === 1 ? event.deltaY : event.deltaY / ROW));
    }
    /** Make the elements of rows that came into view and drop those that left it. */
    draw() {
        const first = Math.max(0, Math.floor(this.top()) - 4);
        const last = Math.min(this.rowCount, Math.ceil(this.top() + this.visible()) + 4);
        for (const [index, row] of this.drawn)
            if (index < first || index >= last) {
                row.remove();
                this.drawn.delete(index);
            }
        const shift = this.scaled() ? this.scroller.scrollTop - this.top() * ROW : 0;
        const fresh = document.createDocumentFragment();
        for (let index = first; index < last; index++) {
            let row = this.drawn.get(index);
            if (!row) {
                row = this.row(index);
                this.drawn.set(index, row);
                fresh.append(row);
            }
            row.style.transform = `translateY(${index * ROW + shift}px)`;
        }
        this.spacer.append(fresh);
        this.drawMapWindow();
    }
    row(index) {
        const row = element("div", "row");
        const from = this.rows[index];
        const to = index + 1 < this.rowCount ? this.rows[index + 1] : this.text.length;
        const place = this.placeAt(from, to);
        const label = element("span", "place");
        label.textContent = place;
        label.title = place;
        const line = element("span", "line");
        line.dir = "auto";
        let span = Math.max(0, upper(this.starts, from) - 1);
        let at = from;
        while (at < to) {
            const end = span + 1 < this.starts.length ? Math.min(to, Math.max(this.starts[span + 1], at)) : to;
            if (end > at) {
                const piece = document.createElement("span");
                piece.textContent = this.text.slice(at, end).replace(/[\r\n]+$/, "");
                if (this.starts.length && this.starts[span] <= at) {
                    piece.dataset.span = String(span);
                    const colour = this.colour(this.values[span]);
                    if (colour)
                        piece.style.background = colour;
                    if (this.tokens[span] === this.momentToken())
                        piece.className = "moment";
                    if (span === this.cursor)
                        piece.classList.add("cursor");
                    if (this.marked(span))
                        piece.classList.add("mark");
                }
                line.append(piece);
                at = end;
            }
            span++;
        }
        row.append(label, line);
        return row;
    }
    momentToken() {
        const { moment } = this.header;
        if (moment === null)
            return -1;
        return this.tokens[Math.max(0, upper(this.tokens, moment) - 1)];
    }
    placeAt(from, to) {
        const { places } = this.header;
        let low = 0;
        let high = places.length;
        while (low < high) {
            const middle = (low + high) >> 1;
            if (places[middle][0] < from)
                low = middle + 1;
            else
                high = middle;
        }
        return low < places.length && places[low][0] < to ? places[low][1] : "";
    }
    /** Blue below the base, orange above, clear at it; so faint that letters keep their contrast. */
    colour(value) {
        if (Number.isNaN(value))
            return "";
        const { base, low, high, dark } = this.header;
        const above = value - base;
        const share = above < 0 ? above / Math.min(low - base, -1e-30) : above / Math.max(high - base, 1e-30);
        const strength = Math.min(1, Math.max(0, share)) * (dark ? 0.62 : 0.55);
        if (strength < 0.03)
            return "";
        return `rgba(${COLOURS[dark ? "dark" : "light"][above < 0 ? 0 : 1]},${strength.toFixed(3)})`;
    }
    marked(span) {
        const { mark } = this.header;
        return mark !== null && this.tokens[span] >= mark[0] && this.tokens[span] < mark[1];
    }
    /** Mark what is from one span to another, both in it, or nothing. Rows stay: a selection of the browser survives. */
    mark(one, other) {
        const [first, last] = [Math.min(one, other), Math.max(one, other)];
        const after = last + 1 < this.tokens.length ? this.tokens[last + 1] : this.header.end;
        this.header.mark = first < 0 ? null : [this.tokens[first], after];
        this.otherEnd = -1;
        for (const row of this.drawn.values())
            for (const piece of row.querySelectorAll("[data-span]"))
                piece.classList.toggle("mark", this.marked(Number(piece.dataset.span)));
        this.drawMapWindow();
        this.report("mark", this.header.mark ?? []);
    }
    /** The first press of the key puts one end of a mark on the cursor, the second the other. */
    markByKey() {
        if (this.cursor < 0)
            return;
        if (this.otherEnd >= 0)
            return this.mark(this.otherEnd, this.cursor);
        this.otherEnd = this.cursor;
        this.status.textContent = this.header.words.mark_other;
    }
    hover(event) {
        const span = spanOf(event);
        if (span >= 0 && event.buttons)
            this.reached = span;
        if (span < 0) {
            this.hint.style.display = "none";
            return;
        }
        this.hint.textContent = this.describe(span);
        const box = this.root.getBoundingClientRect();
        this.hint.style.display = "block";
        const left = Math.min(event.clientX - box.left + 12, box.width - this.hint.offsetWidth - 8);
        this.hint.style.left = `${Math.max(0, left)}px`;
        this.hint.style.top = `${event.clientY - box.top + 18}px`;
    }
    describe(span) {
        const { words, digits, places } = this.header;
        const value = this.values[span];
        const end = span + 1 < this.starts.length ? this.starts[span + 1] : this.text.length;
        let place = "";
        for (const [at, name] of places) {
            if (at > this.starts[span])
                break;
            place = name;
        }
        const parts = [
            `“${this.text.slice(this.starts[span], end).trim() || "␣"}”`,
            `${words.token} ${(this.tokens[span] + 1).toLocaleString()}`,
            `${words.measure} ${Number.isNaN(value) ? "–" : value.toFixed(digits)}${words.unit ? ` ${words.unit}` : ""}`,
        ];
        if (place)
            parts.push(place);
        return parts.join(" · ");
    }
    choose(span) {
        this.cursor = span;
        this.header.moment = this.tokens[span];
        this.redraw();
        this.report("moment", this.tokens[span]);
    }
    key(event) {
        const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
        if (event.altKey || event.ctrlKey || event.metaKey)
            return;
        if (step !== undefined && this.starts.length) {
            const from = this.cursor >= 0 ? this.cursor + step : upper(this.starts, this.rows[Math.floor(this.top())]) - 1;
            this.moveTo(Math.max(0, Math.min(this.starts.length - 1, from)));
        }
        else if (event.key === "Enter" && this.cursor >= 0)
            this.choose(this.cursor);
        else if (event.key === "n")
            this.stepWorst(1);
        else if (event.key === "p")
            this.stepWorst(-1);
        else if (event.key === "m")
            this.markByKey();
        else if (event.key === "Escape" && (this.header.mark || this.otherEnd >= 0))
            this.mark(-1, -1);
        else if (event.key === "/")
            this.search.focus();
        else
            return;
        event.preventDefault();
        event.stopPropagation();
    }
    /** Put the cursor on a span and bring it into view. */
    moveTo(span, centred = false) {
        this.cursor = span;
        const row = this.rowAt(this.starts[span]);
        const top = this.top();
        if (centred || row < top + 1 || row > top + this.visible() - 2)
            this.scrollTo(row - this.visible() / 3);
        this.status.textContent = this.describe(span);
        this.redraw();
    }
    showMoment() {
        if (this.header.moment === null || !this.starts.length)
            return;
        this.moveTo(Math.max(0, upper(this.tokens, this.header.moment) - 1), true);
    }
    rowAt(unit) {
        return upper(this.rows.subarray(0, this.rowCount), unit) - 1;
    }
    seek(words) {
        this.sought = words;
        this.found = [];
        if (words) {
            const text = this.text.toLowerCase();
            const wanted = words.toLowerCase();
            for (let at = text.indexOf(wanted); at >= 0 && this.found.length < 100_000; at = text.indexOf(wanted, at + 1))
                this.found.push(at);
        }
        this.status.textContent = words ? `${this.found.length.toLocaleString()} ${this.header.words.found}` : "";
    }
    stepFound(step) {
        if (!this.found.length || !this.starts.length)
            return this.seek(this.sought);
        const here = this.cursor >= 0 ? this.starts[this.cursor] : -1;
        const after = this.found.findIndex(at => at > here);
        const next = step > 0 ? (after < 0 ? 0 : after) : (after < 0 ? this.found.length : after) - 1;
        let index = (next + this.found.length) % this.found.length;
        if (step < 0 && spanAt(this.starts, this.found[index]) === this.cursor)
            index = (index - 1 + this.found.length) % this.found.length;
        this.moveTo(spanAt(this.starts, this.found[index]), true);
        this.status.textContent = `${index + 1} / ${this.found.length.toLocaleString()}`;
    }
    /** The passages with the largest mean value, largest first. */
    rank() {
        const means = [];
        for (let first = 0; first < this.values.length; first += WINDOW) {
            let sum = 0;
            let count = 0;
            for (let span = first; span < Math.min(first + WINDOW, this.values.length); span++)
                if (!Number.isNaN(this.values[span])) {
                    sum += this.values[span];
                    count++;
                }
            if (count)
                means.push([sum / count, first]);
        }
        means.sort((one, other) => other[0] - one[0]);
        this.worst = means.slice(0, WORST).map(([, span]) => span);
        this.worstAt = -1;
    }
    stepWorst(step) {
        if (!this.worst.length)
            return;
        this.worstAt = Math.max(0, Math.min(this.worst.length - 1, this.worstAt + step));
        this.moveTo(this.worst[this.worstAt], true);
        this.status.textContent = `${this.header.words.rank} ${this.worstAt + 1} · ${this.status.textContent}`;
    }
    image;
    drawMap() {
        const scale = devicePixelRatio || 1;
        const height = Math.max(1, Math.floor(this.scroller.clientHeight * scale));
        const width = Math.max(1, Math.floor(56 * scale));
        this.map.width = width;
        this.map.height = height;
        const context = this.map.getContext("2d");
        if (!context || !this.text.length)
            return;
        const total = new Float64Array(height);
        const count = new Int32Array(height);
        for (let span = 0; span < this.values.length; span++) {
            if (Number.isNaN(this.values[span]))
                continue;
            const row = Math.min(height - 1, Math.floor((this.starts[span] / this.text.length) * height));
            total[row] += this.values[span];
            count[row]++;
        }
        for (let row = 0; row < height; row++) {
            const colour = this.colour(count[row] ? total[row] / count[row] : NaN);
            if (!colour)
                continue;
            context.fillStyle = colour;
            context.fillRect(0, row, width, 1);
        }
        this.image = context.getImageData(0, 0, width, height);
    }
    /** The frame of what is in view, and the moment, over the map. */
    drawMapWindow() {
        const context = this.map.getContext("2d");
        if (!context || !this.image || !this.rowCount)
            return;
        context.putImageData(this.image, 0, 0);
        const { width, height } = this.map;
        const share = (row) => this.rows[Math.max(0, Math.min(this.rowCount - 1, Math.floor(row)))] / this.text.length;
        const from = share(this.top()) * height;
        const bottom = this.top() + this.visible();
        const to = bottom >= this.rowCount ? height : share(bottom) * height;
        const ink = this.header.dark ? "230,233,239" : "13,17,26";
        context.strokeStyle = `rgba(${ink},0.75)`;
        context.lineWidth = Math.max(1, devicePixelRatio);
        context.strokeRect(1, from + 0.5, width - 2, Math.max(4, to - from - 1));
        if (!this.starts.length)
            return;
        if (this.header.mark) {
            const [first, last] = this.header.mark.map(token => this.starts[Math.max(0, upper(this.tokens, token) - 1)]);
            const top = (first / this.text.length) * height;
            context.fillStyle = `rgba(${COLOURS.mark},0.9)`;
            context.fillRect(0, top, 6 * devicePixelRatio, Math.max(4, ((last - first) / this.text.length) * height));
        }
        if (this.header.moment === null)
            return;
        const span = Math.max(0, upper(this.tokens, this.header.moment) - 1);
        context.fillStyle = `rgb(${ink})`;
        context.fillRect(0, (this.starts[span] / this.text.length) * height - 1, width, 2);
    }
    fromMap(event) {
        const box = this.map.getBoundingClientRect();
        const share = Math.min(1, Math.max(0, (event.clientY - box.top) / box.height));
        this.scrollTo(this.rowAt(Math.floor(share * Math.max(0, this.text.length - 1))) - this.visible() / 2);
    }
    button(name, sign, act) {
        const button = document.createElement("button");
        button.type = "button";
        button.textContent = sign;
        button.addEventListener("click", act);
        this.controls[name] = button;
        return button;
    }
}
function element(tag, name) {
    const made = document.createElement(tag);
    made.className = name;
    return made;
}
function align(at) {
    return (at + 7) & ~7;
}
function same(one, other) {
    if (one.length !== other.length)
        return false;
    for (let at = 0; at < one.length; at++)
        if (one[at] !== other[at])
            return false;
    return true;
}
function spanOf(event) {
    const target = event.composedPath()[0];
    const name = target instanceof HTMLElement ? target.dataset.span : undefined;
    return name === undefined ? -1 : Number(name);
}
function spanAt(starts, unit) {
    return Math.max(0, upper(starts, unit) - 1);
}
/** How many of the sorted numbers are at most `value`. */
function upper(sorted, value) {
    let low = 0;
    let high = sorted.length;
    while (low < high) {
        const middle = (low + high) >> 1;
        if (sorted[middle] <= value)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}
/**
 * Where each row begins: after a line feed, or where the next word would not fit. Letters of ASCII have the width that
 * they are drawn with, full-width ones an em, marks that combine none; a pair of surrogates is never parted.
 */
function broken(text, width, like) {
    const context = document.createElement("canvas").getContext("2d");
    const style = getComputedStyle(like);
    context.font = `${style.fontSize} ${style.fontFamily}`;
    const em = parseFloat(style.fontSize);
    const widths = new Float32Array(65536).fill(0.62 * em);
    for (let code = 32; code < 127; code++)
        widths[code] = context.measureText(String.fromCharCode(code)).width;
    for (const [from, to, share] of [
        [0, 31, 0],
        [0x300, 0x36f, 0],
        [0x1100, 0x115f, 1],
        [0x200b, 0x200f, 0],
        [0x2e80, 0xa4cf, 1],
        [0xac00, 0xd7a3, 1],
        [0xd800, 0xdbff, 1.3],
        [0xdc00, 0xdfff, 0],
        [0xf900, 0xfaff, 1],
        [0xfe00, 0xfe0f, 0],
        [0xff00, 0xff60, 1],
    ])
        widths.fill(share * em, from, to + 1);
    widths[9] = 4 * widths[32];
    let rows = new Int32Array(1024);
    let count = 1;
    const add = (at) => {
        if (count === rows.length) {
            const larger = new Int32Array(2 * count);
            larger.set(rows);
            rows = larger;
        }
        rows[count++] = at;
    };
    let used = 0;
    let start = 0;
    let breakAt = -1;
    let usedAtBreak = 0;
    for (let at = 0; at < text.length; at++) {
        const code = text.charCodeAt(at);
        if (code === 10) {
            if (at + 1 < text.length)
                add(at + 1);
            start = at + 1;
            used = 0;
            breakAt = -1;
            continue;
        }
        used += widths[code];
        if (used > width && at > start && (code < 0xdc00 || code > 0xdfff) && widths[code] > 0) {
            const cut = breakAt > start ? breakAt : at;
            add(cut);
            used = cut === at ? widths[code] : used - usedAtBreak;
            start = cut;
            breakAt = -1;
        }
        if (code === 32 || code === 45 || code === 9 || widths[code] >= em) {
            breakAt = at + 1;
            usedAtBreak = used;
            const next = text.charCodeAt(at + 1);
            if ((next >= 0xdc00 && next <= 0xdfff) || (next >= 0xfe00 && next <= 0xfe0f) || next === 0x200d)
                breakAt = -1;
        }
    }
    return [rows, count];
}
const views = new WeakMap();
export default function ({ data, parentElement, setTriggerValue }) {
    let view = views.get(parentElement);
    if (!view)
        views.set(parentElement, (view = new TextView(parentElement)));
    view.watch();
    view.update(data instanceof Uint8Array ? data : new Uint8Array(data), setTriggerValue);
    return () => view.stop();
}
