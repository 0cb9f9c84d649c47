"""A headless Chromium, driven over the DevTools protocol (chromedevtools.github.io)."""

from __future__ import annotations

import asyncio
import base64
import json
from contextlib import suppress
from itertools import count
from pathlib import Path
from subprocess import DEVNULL, Popen, TimeoutExpired
from typing import Any, Self

from aiohttp import ClientSession, ClientWebSocketResponse, WSMsgType

from tests.browser.package import environment
from tests.helpers.waiting import PATIENCE, until

FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--remote-debugging-port=0",
    # A mouse, which a machine without a screen has not.
    "--blink-settings=primaryHoverType=2,availableHoverTypes=2,"
    "primaryPointerType=4,availablePointerTypes=4",
)


class Browser:
    """One browser process with an empty profile."""

    def __init__(self, program: Path, profile: Path) -> None:
        self._profile = profile
        self._process = Popen(
            [program, *FLAGS, f"--user-data-dir={profile}", "about:blank"],
            env=environment(program),
            stdout=DEVNULL,
            stderr=DEVNULL,
        )

    @property
    def address(self) -> str:
        """Of its DevTools. Chromium writes port and path into a file once it listens."""
        told = self._profile / "DevToolsActivePort"
        until(lambda: told.exists() and len(told.read_text().split()) == 2, PATIENCE)
        port, path = told.read_text().split()
        return f"ws://127.0.0.1:{port}{path}"

    def end(self) -> None:
        """SIGTERM, and wait."""
        self._process.terminate()
        try:
            self._process.wait(5)
        except TimeoutExpired:
            self._process.kill()
            self._process.wait()


class Navigated(RuntimeError):
    """The page went elsewhere meanwhile."""


class Chromium:
    """A browser as if it were new: what it stores is its own. Every page is a window."""

    def __init__(self, browser: Browser) -> None:
        self._browser = browser
        self._ids = count(1)
        self._answers: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._context: dict[str, Any]
        self._session: ClientSession
        self._socket: ClientWebSocketResponse
        self._reader: asyncio.Task[None]

    async def __aenter__(self) -> Self:
        address = await asyncio.to_thread(lambda: self._browser.address)
        self._session = ClientSession()
        self._socket = await self._session.ws_connect(address, max_msg_size=0)
        self._reader = asyncio.create_task(self._read())
        self._context = await self.call("Target.createBrowserContext", {})
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.call("Target.disposeBrowserContext", self._context)
        await self._socket.close()
        await self._reader
        await self._session.close()

    async def open(self, url: str) -> Page:
        """A new window with this address."""
        made = await self.call(
            "Target.createTarget", {"url": url, "newWindow": True, **self._context}
        )
        target = {"targetId": made["targetId"], "flatten": True}
        return Page(self, (await self.call("Target.attachToTarget", target))["sessionId"])

    async def save_to(self, folder: Path) -> None:
        """Downloads go there without a question."""
        behaviour = {"behavior": "allow", "downloadPath": str(folder)}
        await self.call("Browser.setDownloadBehavior", behaviour | self._context)

    async def call(
        self, method: str, params: dict[str, Any], session_id: str | None = None
    ) -> dict[str, Any]:
        """The result of one DevTools command; raises RuntimeError with its error."""
        number = next(self._ids)
        self._answers[number] = asyncio.get_running_loop().create_future()
        target = {"sessionId": session_id} if session_id else {}
        await self._socket.send_json({"id": number, "method": method, "params": params, **target})
        answer = await asyncio.wait_for(self._answers[number], PATIENCE)
        if "error" in answer:
            gone = answer["error"]["message"] == "Inspected target navigated or closed"
            raise (Navigated if gone else RuntimeError)(f"{method}: {answer['error']['message']}")
        result: dict[str, Any] = answer["result"]
        return result

    async def _read(self) -> None:
        async for frame in self._socket:
            if frame.type is WSMsgType.TEXT:
                answer = json.loads(frame.data)
                waiting = self._answers.pop(answer.get("id", 0), None)
                if waiting and not waiting.done():
                    waiting.set_result(answer)


class Page:
    """One window: look at it with `js` and `until`, act on it with `click` and `type`."""

    def __init__(self, chromium: Chromium, session_id: str) -> None:
        self._chromium = chromium
        self._session_id = session_id
        self.touch = False

    async def call(self, method: str, **params: Any) -> dict[str, Any]:
        """One DevTools command to this window."""
        return await self._chromium.call(method, params, self._session_id)

    async def js(self, expression: str) -> Any:
        """The value of an expression in the page."""
        answer = await self.call("Runtime.evaluate", expression=expression, returnByValue=True)
        if "exceptionDetails" in answer:
            raise RuntimeError(f"{expression}: {answer['exceptionDetails']}")
        return answer["result"].get("value")

    async def until(self, expression: str, timeout: float = PATIENCE) -> None:
        """Wait until an expression is truthy; shows the page's text if it never is."""
        try:
            async with asyncio.timeout(timeout):
                while True:
                    with suppress(Navigated):
                        if await self.js(f"Boolean({expression})"):
                            return
                    await asyncio.sleep(0.05)
        except TimeoutError:
            text = await self.js("document.body.innerText")
            raise AssertionError(f"{expression} is not so on this page:\n{text}") from None

    async def frame(self) -> None:
        """Wait until the page was drawn once more."""
        await self.promise("new Promise((drawn) => requestAnimationFrame(() => drawn(null)))")

    async def promise(self, expression: str) -> Any:
        """The value to which a promise of the page resolves."""
        answer = await self.call(
            "Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True
        )
        if "exceptionDetails" in answer:
            raise RuntimeError(f"{expression}: {answer['exceptionDetails']}")
        return answer["result"].get("value")

    async def size(self, width: int, height: int, *, touch: bool = False) -> None:
        """The window of this size, on a telephone if `touch`."""
        await self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=touch,
        )
        if touch != self.touch:  # to end what never began takes the mouse away
            await self.call("Emulation.setTouchEmulationEnabled", enabled=touch)
        self.touch = touch

    async def screenshot(self) -> bytes:
        """A PNG of what the window shows."""
        data: str = (await self.call("Page.captureScreenshot", format="png"))["data"]
        return base64.b64decode(data)

    async def press(self, key: str, code: int, modifiers: int = 0) -> None:
        """Press a key that is no letter; `code` is its virtual key code, `modifiers` 1 for Alt."""
        event: dict[str, Any] = {"key": key, "code": key, "modifiers": modifiers}
        event["windowsVirtualKeyCode"] = code
        if key == "Enter":
            event["text"] = "\r"
        await self.call("Input.dispatchKeyEvent", type="keyDown", **event)
        await self.call("Input.dispatchKeyEvent", type="keyUp", **event)

    async def click(self, selector: str) -> None:
        """Click an element once it is there."""
        await self.until(f"document.querySelector({json.dumps(selector)})?.checkVisibility()")
        await self.js(f"document.querySelector({json.dumps(selector)}).click()")

    async def type(self, selector: str, text: str, *, enter: bool = False) -> None:
        """Type into a field once it is there, and press Enter behind it if wanted."""
        await self.until(f"document.querySelector({json.dumps(selector)})?.checkVisibility()")
        await self.js(f"document.querySelector({json.dumps(selector)}).focus()")
        await self.call("Input.insertText", text=text)
        if enter:
            key = {"key": "Enter", "code": "Enter", "windowsVirtualKeyCode": 13, "text": "\r"}
            await self.call("Input.dispatchKeyEvent", type="keyDown", **key)
            await self.call("Input.dispatchKeyEvent", type="keyUp", **key)
