"""A small Marionette client: drives Thunderbird over its remote protocol (TCP, length-prefixed JSON), no packages needed."""

import base64
import json
import os
import socket
import subprocess
import time


class MarionetteError(Exception):
    pass


class Marionette:
    """One session with a running Thunderbird. Scripts run in the chrome context, with the rights of the program itself."""

    def __init__(self, port, timeout=60):
        self.socket = connect(port, timeout)
        self.buffer = b""
        self.next_id = 0
        self._read_packet()  # {"applicationType": "gecko", "marionetteProtocol": 3}
        self.command("WebDriver:NewSession", {"capabilities": {"alwaysMatch": {}}})
        self.command("Marionette:SetContext", {"value": "chrome"})
        self.command("WebDriver:SetTimeouts", {"script": 120_000})

    def command(self, name, parameters=None):
        self.next_id += 1
        packet = json.dumps([0, self.next_id, name, parameters or {}]).encode()
        self.socket.sendall(b"%d:%s" % (len(packet), packet))
        while True:
            kind, number, error, result = self._read_packet()
            if kind == 1 and number == self.next_id:
                break
        if error:
            raise MarionetteError(f"{error.get('error')}: {error.get('message')}\n{error.get('stacktrace', '')}")
        return result.get("value") if isinstance(result, dict) and "value" in result else result

    def run(self, script, *arguments):
        """Runs the body of an async function; its arguments are `args`; gives what it returns (JSON values)."""
        body = """
            const args = Array.from(arguments);
            const done = args.pop();
            (async () => { %s })().then(
                (value) => done({ value: value === undefined ? null : value }),
                (error) => done({ error: String(error) + "\\n" + (error && error.stack || "") }));
        """ % script
        answer = self.command("WebDriver:ExecuteAsyncScript",
                              {"script": body, "args": list(arguments), "newSandbox": True, "sandbox": "system"})
        if answer.get("error"):
            raise MarionetteError(answer["error"])
        return answer["value"]

    def screenshot(self, path):
        picture = self.command("WebDriver:TakeScreenshot", {"full": False, "hash": False})
        with open(path, "wb") as file:
            file.write(base64.b64decode(picture))

    def quit(self):
        try:
            self.command("Marionette:Quit", {"flags": ["eForceQuit"]})
        except (OSError, MarionetteError):
            pass
        self.socket.close()

    def _read_packet(self):
        while b":" not in self.buffer:
            self._fill()
        length, self.buffer = self.buffer.split(b":", 1)
        while len(self.buffer) < int(length):
            self._fill()
        packet, self.buffer = self.buffer[:int(length)], self.buffer[int(length):]
        return json.loads(packet)

    def _fill(self):
        data = self.socket.recv(1 << 20)
        if not data:
            raise MarionetteError("Thunderbird closed the connection")
        self.buffer += data


def connect(port, timeout):
    end = time.monotonic() + timeout
    while True:
        try:
            connection = socket.create_connection(("127.0.0.1", port), 5)
            connection.settimeout(180)
            return connection
        except OSError:
            if time.monotonic() > end:
                raise
            time.sleep(0.1)  # the port cannot tell that it will be there


class Thunderbird:
    """A headless Thunderbird with its own profile and home below `folder`."""

    def __init__(self, folder, port, preferences):
        self.folder = folder
        profile = os.path.join(folder, "profile")
        os.makedirs(profile)
        with open(os.path.join(profile, "user.js"), "w") as file:
            for name, value in {**QUIET, **preferences, "marionette.port": port}.items():
                file.write(f"user_pref({json.dumps(name)}, {json.dumps(value)});\n")
        environment = {**os.environ, "HOME": folder, "MOZ_HEADLESS": "1", "MOZ_HEADLESS_WIDTH": "1280",
                       "MOZ_HEADLESS_HEIGHT": "800", "XDG_RUNTIME_DIR": folder, "LC_ALL": "C.UTF-8"}
        for name in ("DBUS_SESSION_BUS_ADDRESS", "DISPLAY", "WAYLAND_DISPLAY", "XDG_CONFIG_HOME", "XDG_CACHE_HOME"):
            environment.pop(name, None)
        self.log = open(os.path.join(folder, "thunderbird.log"), "wb")
        self.process = subprocess.Popen(
            ["thunderbird", "--headless", "--no-remote", "--profile", profile, "--marionette",
             "-remote-allow-system-access"], env=environment, stdout=self.log, stderr=subprocess.STDOUT,
            start_new_session=True)
        try:
            self.marionette = Marionette(port)
        except Exception:
            self.stop()
            raise

    def stop(self):
        if hasattr(self, "marionette"):
            self.marionette.quit()
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, 9)
            self.process.wait()
        self.log.close()


# What a first start would ask or fetch.
QUIET = {
    "app.donation.eoy.version.viewed": 999,
    "app.normandy.enabled": False,
    "app.update.enabled": False,
    "browser.safebrowsing.downloads.remote.enabled": False,
    "datareporting.policy.bypassNotification": True,
    "datareporting.policy.dataSubmissionPolicyBypassNotification": True,
    "datareporting.healthreport.uploadEnabled": False,
    "extensions.update.enabled": False,
    "mail.biff.show_alert": False,
    "mail.inappnotifications.enabled": False,
    "mail.provider.suppress_dialog_on_startup": True,
    "mail.rights.version": 1,
    "mail.shell.checkDefaultClient": False,
    "mail.spam.manualMark": False,
    "mail.winsearch.firstRunDone": True,
    "mailnews.start_page.enabled": False,
    "mailnews.start_page_override.mstone": "ignore",
    "mail.warn_on_send_accel_key": False,
    "services.settings.server": "data:,",
    "toolkit.telemetry.enabled": False,
}
