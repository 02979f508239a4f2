"""Frames a second while ten million characters scroll past, in headless Chromium: ``python -m tests.text_scroll``.

The component alone, on a page of its own: what is measured is drawing rows, not Streamlit.
"""

from __future__ import annotations

import base64
import shutil

import numpy as np
from playwright.sync_api import sync_playwright

from viz.ui.text_view import FOLDER, Painted, pack

CHARACTERS = 10_000_000
SECONDS = 4


def painted(characters: int) -> Painted:
    """English, Japanese, right-to-left, emoji and tabs, over and over, with a random value every four characters."""
    line = "The pump was checked.\tポンプの点検を行い、異常はなかった。 نص عربي قصير 👩‍🔧 and so on, as before.\n"
    text = (line * (characters // len(line) + 1))[:characters]
    starts = np.arange(0, len(text), 4)
    values = np.random.default_rng(0).normal(size=len(starts)).astype(np.float32)
    tokens = np.arange(len(starts))
    return Painted(
        text=text, starts=starts, tokens=tokens, values=values, base=0.0, low=-2.0, high=2.0, digits=2, end=len(starts)
    )


def main() -> None:
    """Print seconds to the first rows, and frames a second of two ways to scroll."""
    words = {name: name for name in ("search", "text", "map", "found", "token", "rank", "measure", "unit")}
    data = pack(painted(CHARACTERS), moment=None, mark=None, places=[(0, "page 1")], words=words, dark=False)
    script = base64.b64encode((FOLDER / "text_view.js").read_bytes()).decode()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium") or shutil.which("google-chrome"), args=["--no-sandbox"]
        )
        page = browser.new_page(viewport={"width": 1280, "height": 800})
        page.set_content(f"<style>{(FOLDER / 'text_view.css').read_text()}</style><div id=here></div>")
        page.route("**/data", lambda route: route.fulfill(body=data))
        page.evaluate(
            """async ([script, encoded]) => {
                const module = await import(`data:text/javascript;base64,${script}`)
                const bytes = Uint8Array.from(atob(encoded), letter => letter.charCodeAt(0))
                const start = performance.now()
                module.default({ data: bytes, parentElement: document.getElementById("here"), setTriggerValue() {} })
                await new Promise(requestAnimationFrame)
                window.first = performance.now() - start
            }""",
            [script, base64.b64encode(data).decode()],
        )
        print(f"{CHARACTERS:,} characters, first rows after {page.evaluate('window.first') / 1000:.2f} s")
        for name, step in (("a page a second", "560 / 60"), ("from end to end", "scroller.scrollHeight / 240")):
            rate = page.evaluate(
                """async ([seconds, step]) => {
                    const scroller = document.querySelector(".scroller")
                    scroller.scrollTop = 0
                    const advance = eval(step)
                    const start = performance.now()
                    let frames = 0
                    while (performance.now() - start < 1000 * seconds) {
                        scroller.scrollTop += advance
                        await new Promise(requestAnimationFrame)
                        frames++
                    }
                    return [frames / seconds, document.querySelectorAll(".row").length]
                }""",
                [SECONDS, step],
            )
            print(f"scrolling {name}: {rate[0]:.0f} frames a second, {rate[1]} rows drawn")
        browser.close()


if __name__ == "__main__":
    main()
