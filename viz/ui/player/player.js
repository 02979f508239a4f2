// Built from src/player.ts by npm run build. sha256: bbc21a5ecceec9fb34384d8484ecda64bdf12b7b210914e0b8004e77c54105f7
/**
 * A reading replayed along its document: the path of the state on a map, curves over the position with a cursor, and the
 * text. Everything is drawn here from data that came once, so that playing needs no server.
 *
 * What is played is a list of segments: a track (a reading) from one position to another in so many seconds, or a stop
 * at one. A replay is one segment; a story has several, each with a sentence.
 */
const SPEEDS = [0.25, 0.5, 1, 2, 4];
const PANELS = 2;
const MARGIN = { left: 46, right: 12, top: 18, bottom: 22 };
const BLOCK = 480; // characters of the text that are shown at once
const AHEAD = 240; // characters after them
const STEPS = 400; // steps of the slider from start to end
const PAUSE_BETWEEN_TEXTS = 80; // milliseconds: faster changes cannot be read
class Player {
    data;
    time = 0;
    playing = false;
    speed = 1;
    frame = 0;
    before = 0;
    heard = null;
    said = "";
    textDrawn = 0;
    blocks = [];
    extent = [0, 0, 0, 0];
    tops = [];
    ink = "";
    font = "";
    report = () => { };
    root = element("div", "player");
    acts = element("ol", "acts");
    sentence = element("p", "sentence");
    play = document.createElement("button");
    restart = document.createElement("button");
    rate = document.createElement("select");
    slider = document.createElement("input");
    readout = element("span", "readout");
    map = document.createElement("canvas");
    panels = [];
    stage = element("div", "stage");
    mapTitle = element("span", "title");
    kinds = element("span", "legend");
    text = element("div", "text");
    parts = [element("span", "read"), element("span", "here"), element("span", "ahead")];
    observer = new ResizeObserver(() => this.draw());
    still = matchMedia("(prefers-reduced-motion: reduce)");
    constructor(parent) {
        this.sentence.setAttribute("aria-live", "polite");
        this.play.className = "main";
        this.slider.type = "range";
        this.slider.max = String(STEPS);
        this.slider.step = "any";
        const bar = element("div", "bar");
        bar.append(this.play, this.restart, this.slider, this.rate, this.readout);
        const mapBox = element("div", "box map");
        const head = element("div", "head");
        head.append(this.mapTitle, this.kinds);
        mapBox.append(head, this.map);
        const curves = element("div", "curves");
        for (let index = 0; index < PANELS; index++) {
            const box = element("div", "box");
            const head = element("div", "head");
            const panel = {
                title: element("span", "title"),
                legend: element("span", "legend"),
                canvas: document.createElement("canvas"),
            };
            head.append(panel.title, panel.legend);
            box.append(head, panel.canvas);
            curves.append(box);
            this.panels.push(panel);
            this.seekable(panel.canvas, event => this.positionAt(panel.canvas, event.offsetX));
        }
        this.seekable(this.map, event => this.nearest(event.offsetX, event.offsetY), false); // the view moves with the cursor
        this.stage.append(mapBox, curves);
        this.text.append(...this.parts);
        this.root.append(this.acts, this.sentence, this.text, bar, this.stage);
        parent.append(this.root);
        this.play.addEventListener("click", () => this.toggle());
        this.restart.addEventListener("click", () => this.seek(0));
        this.rate.addEventListener("change", () => (this.speed = Number(this.rate.value)));
        this.slider.addEventListener("input", () => {
            this.stop();
            this.show((Number(this.slider.value) / STEPS) * this.total());
        });
        this.slider.addEventListener("change", () => this.tell());
        this.root.addEventListener("keydown", event => this.key(event));
    }
    watch() {
        this.observer.observe(this.stage);
    }
    unwatch() {
        this.observer.disconnect(); // a run of the page calls this too, and playing continues
    }
    update(data, report) {
        this.report = report;
        const other = this.data?.id !== data.id;
        this.data = data;
        const { words } = data;
        this.root.classList.toggle("tall", data.tall);
        this.restart.textContent = "|◀";
        this.restart.title = this.restart.ariaLabel = words.restart;
        this.slider.ariaLabel = words.position;
        this.rate.ariaLabel = this.rate.title = words.speed;
        this.rate.replaceChildren(...SPEEDS.map(speed => new Option(`×${speed}`, String(speed), false, speed === this.speed)));
        this.mapTitle.textContent = words.map;
        this.kinds.replaceChildren(...(data.explored.length ? ["reference", "explored", "unexplored"] : []).map(kind => {
            const entry = element("span", "entry");
            const sign = element("i", kind);
            sign.style.background = data.colours[kind];
            entry.append(sign, words[kind]);
            return entry;
        }));
        this.panels.forEach((panel, index) => {
            panel.title.textContent = words[`panel_${index}`];
            panel.canvas.setAttribute("role", "img");
            panel.canvas.ariaLabel = words[`panel_${index}`];
        });
        this.map.setAttribute("role", "img");
        this.map.ariaLabel = words.map;
        this.text.hidden = !data.passages.length;
        this.stage.classList.toggle("flat", !data.tracks.some(track => track.xy.length));
        this.acts.hidden = !data.acts.length;
        this.acts.replaceChildren(...data.acts.map((name, act) => {
            const item = document.createElement("li");
            const button = document.createElement("button");
            button.textContent = name;
            button.addEventListener("click", () => this.seek(this.startOf(act)));
            item.append(button);
            return item;
        }));
        this.blocks = cut(data.passages);
        const points = data.explored.length ? data.explored : data.tracks.flatMap(track => track.xy);
        this.extent = widened([Infinity, -Infinity, Infinity, -Infinity], points);
        this.tops = this.panels.map((_, index) => {
            const curves = data.tracks.flatMap(track => track.curves).filter(curve => curve.panel === index);
            return curves.flatMap(curve => curve.y).reduce((most, value) => Math.max(most, value), 0) * 1.08 || 1;
        });
        const style = getComputedStyle(this.root);
        this.ink = style.color;
        this.font = `11px ${style.fontFamily}`;
        if (other) {
            this.stop();
            this.time = 0;
            this.said = "";
            if (data.segments.length === 1 && data.moment !== null)
                this.time = this.timeOf(data.moment + 1);
            if (data.autoplay && !this.still.matches)
                requestAnimationFrame(() => this.start());
        }
        else if (data.segments.length === 1 && data.moment !== null && data.moment !== this.heard && !this.playing)
            this.time = this.timeOf(data.moment + 1);
        this.heard = data.moment;
        this.named();
        this.show(this.time);
    }
    // Time and position
    total() {
        return this.data.segments.reduce((sum, segment) => sum + segment.seconds, 0);
    }
    startOf(act) {
        let sum = 0;
        for (const segment of this.data.segments) {
            if (segment.act === act)
                return sum;
            sum += segment.seconds;
        }
        return 0;
    }
    at(time) {
        const { segments, log } = this.data;
        let left = Math.max(0, time);
        for (const [index, segment] of segments.entries()) {
            if (left < segment.seconds || index === segments.length - 1) {
                const share = Math.min(1, left / segment.seconds);
                const { from, to } = segment;
                return { segment, position: log ? from * (to / from) ** share : from + (to - from) * share };
            }
            left -= segment.seconds;
        }
        throw new RangeError("nothing to play");
    }
    /** The first time from which the tracks are at `position`; of the segment that is shown, if it goes there. */
    timeOf(position) {
        const now = this.at(this.time).segment;
        let sum = 0;
        let found = 0;
        let distance = Infinity;
        for (const segment of this.data.segments) {
            const { from, to, seconds } = segment;
            const clipped = Math.min(to, Math.max(from, position));
            const away = Math.abs(clipped - position) + (segment.track === now.track ? 0 : 1e-3);
            if (away < distance) {
                distance = away;
                const share = to === from ? 0 : this.data.log ? Math.log(clipped / from) / Math.log(to / from) : (clipped - from) / (to - from);
                found = sum + share * seconds;
            }
            sum += seconds;
        }
        return found;
    }
    start() {
        if (this.time >= this.total() - 1e-6)
            this.time = 0;
        this.playing = true;
        this.before = performance.now();
        this.named();
        this.frame = requestAnimationFrame(now => this.tick(now));
    }
    stop() {
        cancelAnimationFrame(this.frame);
        this.playing = false;
        if (this.data)
            this.named();
    }
    tick(now) {
        if (!this.root.isConnected)
            return this.stop();
        const before = this.time;
        this.time = Math.min(this.total(), this.time + ((now - this.before) / 1000) * this.speed);
        this.before = now;
        if (!this.still.matches || Math.floor(before) !== Math.floor(this.time) || this.time >= this.total())
            this.show(this.time);
        if (this.time >= this.total()) {
            this.stop();
            this.tell();
        }
        else
            this.frame = requestAnimationFrame(next => this.tick(next));
    }
    toggle() {
        if (!this.playing)
            return this.start();
        this.stop();
        this.tell();
    }
    seek(time) {
        this.show(Math.max(0, Math.min(this.total(), time)));
        if (!this.playing)
            this.tell();
    }
    /** Report the token that the cursor is at, so that the other pages look at it. */
    tell() {
        const token = Math.round(this.at(this.time).position) - 1;
        if (token === this.heard)
            return;
        this.heard = token;
        this.report(token);
    }
    named() {
        const { words } = this.data;
        this.play.textContent = `${this.playing ? "❚❚" : "▶"} ${this.playing ? words.pause : words.play}`;
        this.root.classList.toggle("playing", this.playing);
    }
    key(event) {
        if (event.altKey || event.ctrlKey || event.metaKey || event.target === this.rate)
            return;
        const step = (this.total() / STEPS) * (event.shiftKey ? 10 : 1);
        if (event.key === " " && !(event.target instanceof HTMLButtonElement))
            this.toggle();
        else if (event.key === "ArrowLeft")
            this.seek(this.time - step);
        else if (event.key === "ArrowRight")
            this.seek(this.time + step);
        else if (event.key === "Home")
            this.seek(0);
        else if (event.key === "End")
            this.seek(this.total());
        else
            return;
        event.preventDefault();
        event.stopPropagation(); // the arrows turn slides elsewhere on the page
    }
    seekable(canvas, find, drag = true) {
        const go = (event) => {
            this.stop();
            this.show(this.timeOf(find(event)));
        };
        canvas.addEventListener("pointerdown", event => {
            canvas.setPointerCapture(event.pointerId);
            go(event);
            this.slider.focus({ preventScroll: true });
        });
        canvas.addEventListener("pointermove", event => drag && event.buttons && go(event));
        canvas.addEventListener("pointerup", () => this.tell());
    }
    // Drawing
    show(time) {
        this.time = time;
        const { segment, position } = this.at(time);
        const { words, end } = this.data;
        if (segment.says !== this.said || !this.sentence.textContent) {
            this.said = segment.says;
            this.sentence.textContent = segment.says;
            this.sentence.hidden = !segment.says;
        }
        ;
        [...this.acts.children].forEach((item, act) => item.classList.toggle("now", act === segment.act));
        const token = Math.round(position).toLocaleString();
        this.slider.value = String((time / this.total()) * STEPS);
        this.readout.textContent = `${words.token} ${token} / ${end.toLocaleString()}`;
        this.slider.setAttribute("aria-valuetext", `${words.token} ${token}`);
        this.draw();
    }
    draw() {
        if (!this.data?.segments.length || !this.stage.clientWidth)
            return;
        const { segment, position } = this.at(this.time);
        this.panels.forEach((panel, index) => {
            this.drawPanel(panel.canvas, index, segment.track, position);
            this.drawLegend(panel.legend, index, segment.track, position);
        });
        this.drawMap(segment.track, position);
        this.drawText(position);
    }
    horizontal(width) {
        const { log, first, end } = this.data;
        const inner = width - MARGIN.left - MARGIN.right;
        const share = (value) => log ? Math.log(Math.max(value, 1) / first) / Math.log(end / first) : (value - first) / (end - first);
        return value => MARGIN.left + inner * share(value);
    }
    positionAt(canvas, x) {
        const { log, first, end } = this.data;
        const share = Math.min(1, Math.max(0, (x - MARGIN.left) / (canvas.clientWidth - MARGIN.left - MARGIN.right)));
        return log ? first * (end / first) ** share : first + (end - first) * share;
    }
    drawPanel(canvas, index, track, position) {
        const { tracks, marks, log, first, end, segments, colours } = this.data;
        const [context, width, height] = fitted(canvas);
        if (!context)
            return;
        const ink = this.ink;
        context.font = this.font;
        const x = this.horizontal(width);
        const top = this.tops[index];
        const y = (value) => height - MARGIN.bottom - ((height - MARGIN.top - MARGIN.bottom) * value) / top;
        context.fillStyle = ink;
        context.strokeStyle = colours.grid;
        context.lineWidth = 1;
        context.textAlign = "right";
        context.textBaseline = "middle";
        for (const tick of ticks(top, 4)) {
            line(context, [[MARGIN.left, y(tick)], [width - MARGIN.right, y(tick)]]);
            context.fillText(short(tick), MARGIN.left - 6, y(tick));
        }
        context.textAlign = "center";
        context.textBaseline = "top";
        const places = log ? powers(first, end) : ticks(end, 5);
        for (const tick of places)
            context.fillText(short(tick), x(tick), height - MARGIN.bottom + 6);
        context.textAlign = "left";
        let free = -Infinity;
        for (const [at, label] of marks) {
            context.strokeStyle = colours.quiet;
            context.setLineDash([4, 4]);
            line(context, [[x(at), MARGIN.top - 4], [x(at), height - MARGIN.bottom]]);
            context.setLineDash([]);
            if (x(at) < free)
                continue;
            free = x(at) + context.measureText(label).width + 8;
            context.fillText(label, Math.min(x(at) + 3, width - context.measureText(label).width), 2);
        }
        context.save();
        context.beginPath();
        context.rect(MARGIN.left, 0, width - MARGIN.left - MARGIN.right + 4, height - MARGIN.bottom + 1);
        context.clip();
        tracks.slice(0, track + 1).forEach((each, order) => {
            for (const curve of each.curves) {
                if (curve.panel !== index || (order < track && curve.dash))
                    continue;
                const until = order < track ? end : position;
                context.strokeStyle = curve.colour;
                context.setLineDash(curve.dash ? [6, 4] : []);
                if (order < track || segments.length === 1) {
                    context.globalAlpha = order < track ? 0.45 : 0.25;
                    context.lineWidth = 1.5;
                    line(context, curve.x.map((at, row) => [x(at), y(curve.y[row])]));
                    context.globalAlpha = 1;
                }
                if (order < track)
                    continue;
                context.lineWidth = 2.25;
                const rows = upper(curve.x, until);
                const points = curve.x.slice(0, rows).map((at, row) => [x(at), y(curve.y[row])]);
                const here = between(curve.x, curve.y, until);
                if (rows && Number.isFinite(here))
                    points.push([x(until), y(here)]);
                line(context, points);
                context.setLineDash([]);
                if (!rows || !Number.isFinite(here))
                    continue;
                context.fillStyle = curve.colour;
                disc(context, x(until), y(here), 4);
            }
        });
        context.setLineDash([]);
        context.strokeStyle = ink;
        context.lineWidth = 1.25;
        line(context, [[x(position), MARGIN.top - 4], [x(position), height - MARGIN.bottom]]);
        context.restore();
    }
    /** The curves of a panel by name, each with its value at the cursor. */
    drawLegend(legend, index, track, position) {
        const curves = this.data.tracks
            .slice(0, track + 1)
            .flatMap((each, order) => each.curves.filter(curve => curve.panel === index && (order === track || !curve.dash)));
        const signature = curves.map(curve => curve.name).join("|");
        if (legend.dataset.of !== signature) {
            legend.dataset.of = signature;
            legend.replaceChildren(...curves.map(curve => {
                const entry = element("span", "entry");
                const swatch = element("i", curve.dash ? "dash" : "");
                swatch.style.borderColor = curve.colour;
                entry.append(swatch, `${curve.name} `, element("b", ""));
                return entry;
            }));
        }
        const values = legend.querySelectorAll("b");
        curves.forEach((curve, row) => {
            const value = between(curve.x, curve.y, position);
            values[row].textContent = Number.isFinite(value) ? `${index === 0 ? "×" : ""}${value.toFixed(2)}` : "–";
        });
    }
    /** The path of a track up to a position; the last point is on the line between two states. */
    path(track, position) {
        const rows = upper(track.position, position);
        const points = track.xy.slice(0, Math.max(1, rows));
        if (rows && rows < track.xy.length) {
            const share = (position - track.position[rows - 1]) / (track.position[rows] - track.position[rows - 1]);
            points.push([0, 1].map(axis => track.xy[rows - 1][axis] * (1 - share) + track.xy[rows][axis] * share));
        }
        return points;
    }
    /** Pixels of a point: the view holds the explored states and the path so far, so it widens as the state leaves them. */
    plane(width, height, path) {
        const view = this.data.explored.length ? widened(this.extent, path) : this.extent;
        const [left, right, bottom, top] = view;
        const pad = 18;
        const across = (width - 2 * pad) / Math.max(right - left, 1e-9);
        const up = (height - 2 * pad) / Math.max(top - bottom, 1e-9);
        return ([first, second]) => [pad + (first - left) * across, height - pad - (second - bottom) * up];
    }
    nearest(x, y) {
        const { segment, position } = this.at(this.time);
        const track = this.data.tracks[segment.track];
        const place = this.plane(this.map.clientWidth, this.map.clientHeight, this.path(track, position));
        let best = 0;
        let distance = Infinity;
        track.xy.forEach((point, row) => {
            const [left, top] = place(point);
            const away = (left - x) ** 2 + (top - y) ** 2;
            if (away < distance)
                [distance, best] = [away, row];
        });
        return track.position[best] ?? this.data.first;
    }
    drawMap(track, position) {
        const { tracks, explored, colours } = this.data;
        if (!this.map.clientWidth || !tracks[track].xy.length)
            return;
        const [context, width, height] = fitted(this.map);
        if (!context)
            return;
        const walked = this.path(tracks[track], position);
        const place = this.plane(width, height, walked);
        const look = (each, outside) => !explored.length ? each.colour : outside ? colours.unexplored : colours.explored;
        context.fillStyle = colours.reference;
        context.globalAlpha = 0.4;
        for (const point of explored) {
            const [x, y] = place(point);
            context.fillRect(x - 1.5, y - 1.5, 3, 3);
        }
        context.globalAlpha = 1;
        tracks.slice(0, track + 1).forEach((each, order) => {
            const rows = order < track ? each.position.length : upper(each.position, position);
            const points = (order < track ? each.xy : walked).map(place);
            context.globalAlpha = order < track ? 0.25 : 0.45;
            context.lineWidth = 1.5;
            context.strokeStyle = each.colour;
            line(context, points);
            context.globalAlpha = order < track ? 0.25 : 0.8;
            for (let row = 0; row < rows; row++) {
                context.fillStyle = look(each, each.unexplored[row]);
                mark(context, points[row], 2.5, each.unexplored[row]);
            }
            context.globalAlpha = 1;
            const head = points[points.length - 1];
            if (order < track || !head)
                return;
            const outside = each.unexplored[Math.max(0, rows - 1)];
            context.fillStyle = look(each, outside);
            mark(context, head, 7, outside);
            context.strokeStyle = this.ink;
            context.lineWidth = 2;
            context.beginPath();
            context.arc(head[0], head[1], 11, 0, 7);
            context.stroke();
        });
    }
    drawText(position) {
        const { passages, character } = this.data;
        const now = performance.now();
        if (!passages.length || (this.playing && now - this.textDrawn < PAUSE_BETWEEN_TEXTS))
            return;
        this.textDrawn = now;
        const at = Math.floor(between(this.data.position, character, position));
        const index = Math.max(0, upper(passages.map(([first]) => first), at) - 1);
        const [, start, text] = passages[index];
        const blocks = this.blocks.filter(([passage]) => passage === index);
        let block = 0;
        while (block + 1 < blocks.length && blocks[block + 1][1] <= at - start)
            block++;
        const from = blocks[block][1];
        const to = blocks[block + 1]?.[1] ?? text.length;
        const here = Math.min(to, Math.max(from, at - start));
        this.parts[0].textContent = text.slice(from, here);
        this.parts[2].textContent = text.slice(here, to + AHEAD);
        const row = parseFloat(getComputedStyle(this.text).lineHeight);
        this.text.scrollTop = (Math.floor(this.parts[1].offsetTop / row) - 1) * row; // one row before the cursor's
    }
}
function element(tag, name) {
    const made = document.createElement(tag);
    made.className = name;
    return made;
}
/** Where the blocks of each passage begin: [passage, offset], after a space or a full stop where there is one. */
function cut(passages) {
    const found = [];
    passages.forEach(([, , text], index) => {
        let at = 0;
        do {
            found.push([index, at]);
            const rest = text.slice(at + BLOCK - 80, at + BLOCK);
            const space = Math.max(...["\n", "。", " "].map(sign => rest.lastIndexOf(sign)));
            at += space < 0 ? BLOCK : BLOCK - 80 + space + 1;
        } while (at < text.length);
    });
    return found;
}
/** The canvas at the resolution of the screen, cleared; sizes in CSS pixels. */
function fitted(canvas) {
    const scale = devicePixelRatio || 1;
    const { clientWidth: width, clientHeight: height } = canvas;
    if (canvas.width !== Math.round(width * scale) || canvas.height !== Math.round(height * scale)) {
        canvas.width = Math.round(width * scale);
        canvas.height = Math.round(height * scale);
    }
    const context = canvas.getContext("2d");
    context?.setTransform(scale, 0, 0, scale, 0, 0);
    context?.clearRect(0, 0, width, height);
    return [context, width, height];
}
function line(context, points) {
    context.beginPath();
    for (const [x, y] of points)
        if (Number.isFinite(y))
            context.lineTo(x, y);
    context.stroke();
}
function disc(context, x, y, radius) {
    context.beginPath();
    context.arc(x, y, radius, 0, 7);
    context.fill();
}
function widened([left, right, bottom, top], points) {
    for (const [x, y] of points) {
        if (x < left)
            left = x;
        if (x > right)
            right = x;
        if (y < bottom)
            bottom = y;
        if (y > top)
            top = y;
    }
    return [left, right, bottom, top];
}
/** A circle, or a diamond: shape and colour tell unexplored states apart. */
function mark(context, [x, y], radius, diamond) {
    if (!diamond)
        return disc(context, x, y, radius);
    const reach = 1.3 * radius;
    context.beginPath();
    for (const [left, up] of [[0, -reach], [reach, 0], [0, reach], [-reach, 0]])
        context.lineTo(x + left, y + up);
    context.fill();
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
/** The value of a curve at `at`, on the line between its neighbours; at the ends that of the end. */
function between(x, y, at) {
    if (!x.length)
        return NaN;
    const after = upper(x, at);
    if (after === 0)
        return y[0];
    if (after === x.length)
        return y[after - 1];
    const share = (at - x[after - 1]) / (x[after] - x[after - 1]);
    return y[after - 1] + share * (y[after] - y[after - 1]);
}
/** Round numbers from 0 to `top`, about `count` of them. */
function ticks(top, count) {
    const rough = top / count;
    const size = 10 ** Math.floor(Math.log10(rough));
    const step = [1, 2, 2.5, 5, 10].map(factor => factor * size).find(each => each >= rough) ?? rough;
    return Array.from({ length: Math.floor(top / step) + 1 }, (_, index) => index * step);
}
function powers(first, end) {
    const found = [];
    for (let power = 10 ** Math.ceil(Math.log10(first)); power <= end; power *= 10)
        found.push(power);
    return found;
}
function short(value) {
    if (value >= 1e6)
        return `${+(value / 1e6).toPrecision(3)}M`;
    return value >= 1e3 ? `${+(value / 1e3).toPrecision(3)}k` : String(+value.toPrecision(3));
}
const players = new WeakMap();
export default function ({ data, parentElement, setTriggerValue }) {
    let player = players.get(parentElement);
    if (!player)
        players.set(parentElement, (player = new Player(parentElement)));
    player.watch();
    player.update(data, token => setTriggerValue("moment", token));
    return () => player.unwatch();
}
