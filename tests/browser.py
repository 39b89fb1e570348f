# SPDX-License-Identifier: Apache-2.0
"""A headless Chromium, spoken to in the protocol of its developer tools."""

import base64
import contextlib
import itertools
import json
import pathlib
import shutil
import subprocess
import tempfile
import time
import urllib.request

import pytest
from websockets.sync import client

_FLAGS = (
    '--headless', '--no-sandbox', '--disable-gpu', '--no-first-run', '--disable-background-networking',
    '--disable-component-update', '--disable-sync', '--disable-quic', '--remote-debugging-port=0',
)  # fmt: skip
_PATIENCE = 30  # seconds


class Page:
    """One tab."""

    def __init__(self, address: str) -> None:
        """Connects to a tab and listens to its console, errors and requests."""
        self._socket = client.connect(address, max_size=2**28)
        self._numbers = itertools.count()
        self.events: list[dict] = []
        for domain in ('Page', 'Runtime', 'Network', 'Log'):
            self.call(f'{domain}.enable')

    def call(self, method: str, **parameters) -> dict:
        """Sends a command and returns its result; what happens meanwhile goes to `events`."""
        number = next(self._numbers)
        self._socket.send(json.dumps({'id': number, 'method': method, 'params': parameters}))
        while True:
            message = json.loads(self._socket.recv(timeout=_PATIENCE))
            if message.get('id') == number:
                assert 'error' not in message, message
                return message['result']
            self.events.append(message)

    def open(self, path: pathlib.Path, *, width: int, height: int = 900, scheme: str = 'light') -> float:
        """Opens a file in a window of that size; returns the seconds until it was loaded."""
        self.call(
            'Emulation.setDeviceMetricsOverride',
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=width < 600,
        )
        scheme_feature = [{'name': 'prefers-color-scheme', 'value': scheme}]
        self.call('Emulation.setEmulatedMedia', features=scheme_feature)
        self.events.clear()
        begin = time.monotonic()
        self.call('Page.navigate', url=path.as_uri())
        while self.run('document.readyState') != 'complete':
            assert time.monotonic() - begin < _PATIENCE, 'the page does not load'
        return time.monotonic() - begin

    def run(self, expression: str):
        """Evaluates JavaScript in the page."""
        found = self.call('Runtime.evaluate', expression=expression, returnByValue=True)
        assert 'exceptionDetails' not in found, found
        return found['result'].get('value')

    def press(self, key: str) -> None:
        """Presses and releases a key."""
        for kind in ('keyDown', 'keyUp'):
            self.call('Input.dispatchKeyEvent', type=kind, key=key, code=key)

    def screenshot(self, path: pathlib.Path) -> None:
        """Writes what is to be seen as a PNG."""
        path.write_bytes(base64.b64decode(self.call('Page.captureScreenshot')['data']))

    def complaints(self) -> list[str]:
        """Lists errors of scripts, console messages, and requests to anywhere but files and data URIs."""
        found = []
        for event in self.events:
            if event['method'] in ('Runtime.exceptionThrown', 'Runtime.consoleAPICalled', 'Log.entryAdded'):
                found.append(json.dumps(event['params'])[:300])
            if event['method'] == 'Network.requestWillBeSent':
                url = event['params']['request']['url']
                if not url.startswith(('data:', 'file:')):
                    found.append(url)
        return found


@contextlib.contextmanager
def page():
    """Starts Chromium with one tab; skips the test where it is not installed."""
    program = shutil.which('chromium') or shutil.which('google-chrome')
    if not program:
        pytest.skip('no chromium; `apt-get install chromium` to run this test')
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        command = [program, *_FLAGS, f'--user-data-dir={profile}', 'about:blank']
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            port = _port(pathlib.Path(profile, 'DevToolsActivePort'))
            with urllib.request.urlopen(f'http://127.0.0.1:{port}/json') as answer:
                tabs = json.load(answer)
            yield Page(next(tab['webSocketDebuggerUrl'] for tab in tabs if tab['type'] == 'page'))
        finally:
            process.terminate()
            process.wait(_PATIENCE)


def _port(path: pathlib.Path) -> int:
    end = time.monotonic() + _PATIENCE
    while time.monotonic() < end:
        if path.exists() and path.read_text().count('\n'):
            return int(path.read_text().splitlines()[0])
        time.sleep(0.05)
    raise TimeoutError('chromium does not start')
