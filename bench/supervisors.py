"""The supervisors that peers.py measures: how each is configured, started, asked and stopped, and where its log lies."""
import glob, json, os, shutil, signal, subprocess, sys, tempfile, time
import psutil

PEERS = os.environ.get("PEERS", os.path.expanduser("~/.cache/peers"))
WORKER_NAME = "benchworker"
COMMAND_TIMEOUT_S = 60
RUN = os.path.join(PEERS, "run")
STARTED = os.path.join(RUN, "started.jsonl")  # pid and start time of what runs for us: read by the run after one that was killed
MARK_PREFIX, RUNTIME_PREFIX = "bench-mark-", "bench-run-"
# in memory, so that the notes of a thousand workers do not wait for a disk
MEMORY = "/dev/shm" if os.path.isdir("/dev/shm") else tempfile.gettempdir()
ENDED_WITHIN_S = 20


def start_ticks(pid):
    """when a process began, in clock ticks after boot (proc(5)); None once it is gone"""
    try:
        with open(f"/proc/{pid}/stat") as file: return int(file.read().rsplit(") ", 1)[1].split()[19])
    except OSError:
        return None


def record(pids):
    """remembers processes beyond our own death"""
    with open(STARTED, "a") as file:
        for pid in pids: file.write(json.dumps({"pid": pid, "start": start_ticks(pid)}) + "\n")


def recorded():
    """the recorded processes that still run: a number alone could be somebody else's by now"""
    try:
        with open(STARTED) as file: lines = [json.loads(line) for line in file if line.endswith("\n")]
    except OSError:
        return []
    found = []
    for line in lines:
        try:
            process = psutil.Process(line["pid"])
            if start_ticks(line["pid"]) == line["start"]: found.append(process)
        except psutil.NoSuchProcess:
            pass
    return found


def ours(process):
    """whether a measurement started it: its environment points into our folders"""
    try:
        if process.pid == os.getpid() or process.info["status"] == psutil.STATUS_ZOMBIE: return False
        environ = process.environ()
    except psutil.Error:
        return False
    mark = os.path.basename(environ.get("MARK", "")).startswith(MARK_PREFIX)
    return mark or environ.get("MUSTER_HOME", "").startswith(RUN + os.sep)


def end_leftovers():
    """ends what measurements started and everything below it, until nothing is left; how many there were"""
    ended, deadline = set(), time.monotonic() + ENDED_WITHIN_S
    while True:
        found = {process for process in psutil.process_iter(["status"]) if ours(process)} | set(recorded())
        for process in list(found):
            try: found |= set(process.children(recursive=True))
            except psutil.NoSuchProcess: pass
        found = {process for process in found if process.is_running() and process.status() != psutil.STATUS_ZOMBIE}
        if not found: break
        if time.monotonic() > deadline: sys.exit(f"these do not end: {', '.join(map(str, found))}")
        for process in found:
            try: process.kill()  # psutil looks at the start time first
            except psutil.NoSuchProcess: pass
        ended |= found
        psutil.wait_procs(list(found), timeout=1)
    if os.path.exists(STARTED): os.unlink(STARTED)
    return len(ended)


class Bench:
    """One measurement: an empty folder, the notes of its workers, and nothing of it left at its end."""
    worker = os.environ.get("WORKER", os.path.join(PEERS, WORKER_NAME))

    def __init__(self, name, heavy=False):
        self.heavy = heavy  # its folder is too large to wait for the end of the run
        self.folder = tempfile.mkdtemp(prefix=name + "-", dir=RUN)
        self.mark = tempfile.mkdtemp(prefix=MARK_PREFIX, dir=MEMORY)
        # sockets lie where they do after a login: XDG_RUNTIME_DIR is in memory
        self.runtime = tempfile.mkdtemp(prefix=RUNTIME_PREFIX, dir=MEMORY)
        self.before = set(psutil.pids())

    def __enter__(self): return self

    def __exit__(self, *error):
        end_leftovers()
        if self.heavy: shutil.rmtree(self.folder, ignore_errors=True)

    @staticmethod
    def clean():
        """removes what measurements made: before and after a run, so that no round pays for the files of the one before"""
        made = [entry.path for entry in os.scandir(RUN) if entry.is_dir()]
        made += [path for prefix in (MARK_PREFIX, RUNTIME_PREFIX) for path in glob.glob(os.path.join(MEMORY, prefix + "*"))]
        for path in made: shutil.rmtree(path, ignore_errors=True)

    def env(self): return dict(os.environ, MARK=self.mark)

    def marks(self, what, name=None):
        """pid -> number of the workers that noted `what`"""
        found = {}
        for entry in os.listdir(self.mark):
            if entry.endswith(".tmp"): continue
            service, kind, pid = entry.rsplit(".", 2)
            if kind == what and name in (None, service):
                with open(os.path.join(self.mark, entry)) as file: found[int(pid)] = float(file.read())
        return found

    def count(self, what):
        """how many different services noted `what`"""
        return len({entry.rsplit(".", 2)[0] for entry in os.listdir(self.mark) if f".{what}." in entry and not entry.endswith(".tmp")})

    def pids(self): return {int(entry.rsplit(".", 1)[1]) for entry in os.listdir(self.mark) if not entry.endswith(".tmp")}
    def alive(self): return [pid for pid in self.pids() if is_worker(pid)]
    def any_alive(self): return any(is_worker(pid) for pid in self.pids())

    @staticmethod
    def wait(condition, timeout, pause=0.002):
        end = time.monotonic() + timeout
        while time.monotonic() < end:
            value = condition()
            if value: return value
            time.sleep(pause)
        return None


def is_worker(pid):
    """a pid of ours that still runs: neither gone, nor used again, nor waiting to be reaped"""
    try:
        with open(f"/proc/{pid}/stat") as file: stat = file.read()
    except OSError:
        return False
    name, rest = stat[stat.index("(") + 1:].rsplit(") ", 1)
    return name == WORKER_NAME and rest[0] != "Z"


class Peer:
    name, program = "", ""
    chains = False    # knows "start when that one is ready"
    restarts = True   # starts a service again that was killed

    def __init__(self, bench):
        self.bench, self.d, self.process = bench, bench.folder, None

    @classmethod
    def path(cls): return os.path.join(PEERS, cls.program)
    @classmethod
    def installed(cls): return os.access(cls.path(), os.X_OK)

    @classmethod
    def version(cls):
        """the first line that it prints about itself"""
        try:
            with tempfile.TemporaryDirectory() as home:
                env = dict(os.environ, HOME=home, PM2_HOME=home)
                done = subprocess.run(cls.version_command(), capture_output=True, text=True, timeout=30, env=env)
            return next((line.strip() for line in reversed(done.stdout.splitlines()) if line.strip()), "")
        except (OSError, subprocess.TimeoutExpired):
            return ""

    @classmethod
    def version_command(cls): return [cls.path(), "--version"]

    def extra(self): return {}
    def env(self): return {**self.bench.env(), **self.extra()}

    def sh(self, *command):
        """a client command, to its end"""
        return subprocess.run(command, cwd=self.d, env=self.env(), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                              stderr=subprocess.DEVNULL, timeout=COMMAND_TIMEOUT_S)

    def background(self, *command):
        with open(self.d + "/supervisor.out", "w") as out:
            self.process = subprocess.Popen(command, cwd=self.d, env=self.env(), stdin=subprocess.DEVNULL, stdout=out,
                                            stderr=subprocess.STDOUT, start_new_session=True)
        record([self.process.pid])

    def ended(self):
        if self.process: self.process.wait(COMMAND_TIMEOUT_S)

    def supervisors(self):
        """the processes of the peer itself"""
        try:
            top = psutil.Process(self.process.pid)
            return [top] + [child for child in top.children(recursive=True) if child.name() != WORKER_NAME]
        except psutil.NoSuchProcess:
            return []

    def logfile(self, name): return f"{self.d}/{name}.log"

    def logsize(self, name):
        file = self.logfile(name)
        return os.path.getsize(file) if file and os.path.exists(file) else None

    def kill(self):
        """after this nothing of it runs"""
        if self.process and self.process.poll() is None:
            try: os.killpg(self.process.pid, signal.SIGKILL)
            except OSError: pass
            self.process.wait()

    def write(self, name, text):
        with open(os.path.join(self.d, name), "w") as file: file.write(text)


class Muster(Peer):
    name, chains = "muster", True

    @classmethod
    def path(cls): return os.environ.get("MUSTER") or shutil.which("muster") or ""

    def extra(self): return {"MUSTER_HOME": self.d + "/home", "XDG_RUNTIME_DIR": self.bench.runtime, "XDG_STATE_HOME": self.d + "/state"}

    def configure(self, services):
        def one(service):
            out = {"process": {"command": service["command"]}, "env": {"MARK": self.bench.mark}, "restart": "always", "logs": {"keep": "4GiB"}}
            if "port" in service: out |= {"ports": {"main": service["port"]}, "ready": {"tcp": "main"}}
            if service.get("needs"): out["needs"] = {service["needs"]: "ready"}
            return out
        stack = {"name": "bench", "services": {name: one(service) for name, service in services.items()}}
        self.write("muster.yaml", json.dumps(stack))

    def start(self): self.background(self.path(), "up", "--detach", "--no-wait")
    def stop(self): self.sh(self.path(), "down")
    def status(self): return self.sh(self.path(), "status", "--json")

    def supervisors(self):
        """every process that came since the start and is not the worker: nothing hides behind another name"""
        new = [process for process in psutil.process_iter(["name", "ppid", "status"]) if process.pid not in self.bench.before]
        new = [process for process in new if process.info["status"] != psutil.STATUS_ZOMBIE]  # it ran, and runs no more
        return [process for process in new if process.info["name"] != WORKER_NAME and process.info["ppid"] != 2]

    def logsize(self, name):
        """bytes in the log segments, wherever the state folder keeps them"""
        return sum(os.path.getsize(file) for file in glob.glob(f"{self.d}/**/log.*", recursive=True))

    def kill(self):
        self.sh(self.path(), "daemon", "stop", "--all")
        super().kill()


class ProcessCompose(Peer):
    name, program, chains = "process-compose", "bin/process-compose", True

    @classmethod
    def path(cls):
        own = super().path()
        return own if os.access(own, os.X_OK) else shutil.which("process-compose") or own
    @classmethod
    def version_command(cls): return [cls.path(), "version", "--short"]

    def configure(self, services):
        def one(name, service):
            out = {"command": " ".join(service["command"]), "availability": {"restart": "always", "backoff_seconds": 1}, "log_location": self.logfile(name)}
            if "port" in service:
                out["readiness_probe"] = {"http_get": {"host": "127.0.0.1", "port": str(service["port"]), "scheme": "http", "path": "/"},
                                          "initial_delay_seconds": 0, "period_seconds": 1, "failure_threshold": 100}
            if service.get("needs"): out["depends_on"] = {service["needs"]: {"condition": "process_healthy"}}
            return out
        self.write("process-compose.yaml", json.dumps({"version": "0.5", "processes": {n: one(n, s) for n, s in services.items()}}))

    def client(self, *words): return self.sh(self.path(), "-u", self.d + "/pc.sock", *words)
    def start(self):
        self.background(self.path(), "up", "-t=false", "-u", self.d + "/pc.sock", "-f", self.d + "/process-compose.yaml", "--keep-project")
    def stop(self): self.client("down"); self.ended()
    def status(self): return self.client("process", "list", "-o", "json")


class Pitchfork(Peer):
    name, program, chains = "pitchfork", "cargo/bin/pitchfork", True

    def extra(self): return {"HOME": self.d, "XDG_STATE_HOME": self.d + "/state", "XDG_CONFIG_HOME": self.d + "/cfg"}

    def configure(self, services):
        lines = []
        for name, service in services.items():
            lines += [f"[daemons.{name}]", f'run = "{" ".join(service["command"])}"', "retry = 1000"]
            lines += [f"ready_port = {service['port']}"] if "port" in service else ["ready_delay = 0"]
            if service.get("needs"): lines.append(f'depends = ["{service["needs"]}"]')
        self.write("pitchfork.toml", "\n".join(lines) + "\n")

    def start(self):
        self.background(self.path(), "supervisor", "run")
        self.bench.wait(lambda: self.sh(self.path(), "list").returncode == 0, 10)
        self.sh(self.path(), "start", "--all")

    def stop(self): self.sh(self.path(), "stop", "--all")
    def status(self): return self.sh(self.path(), "list")

    def logfile(self, name):
        found = glob.glob(f"{self.d}/state/pitchfork/logs/*{name}/*.log")
        return found[0] if found else None

    def kill(self):
        self.sh(self.path(), "supervisor", "stop")
        super().kill()


class Pueue(Peer):
    """a task queue rather than a supervisor: it restarts nothing; the Rust daemon closest in kind"""
    name, program, restarts = "pueue", "cargo/bin/pueue", False

    def extra(self): return {"XDG_CONFIG_HOME": self.d + "/cfg", "XDG_DATA_HOME": self.d + "/data", "XDG_RUNTIME_DIR": self.d + "/run"}

    def configure(self, services):
        for folder in ("cfg", "data", "run"): os.makedirs(f"{self.d}/{folder}")
        self.services = services

    def start(self):
        self.background(self.path() + "d")
        self.bench.wait(lambda: self.sh(self.path(), "status").returncode == 0, 10)
        self.sh(self.path(), "parallel", "0")
        for service in self.services.values(): self.sh(self.path(), "add", "--", *service["command"])

    def stop(self): self.sh(self.path(), "shutdown"); self.ended()
    def status(self): return self.sh(self.path(), "status", "--json")
    def logfile(self, name): return f"{self.d}/data/pueue/task_logs/0.log"


class Supervisord(Peer):
    name, program = "supervisord", "v/bin/supervisord"

    def configure(self, services):
        lines = ["[supervisord]", "nodaemon=true", f"logfile={self.d}/supervisord-own.log", f"pidfile={self.d}/pid", "minfds=20000",
                 "[unix_http_server]", f"file={self.d}/s.sock", "[rpcinterface:supervisor]",
                 "supervisor.rpcinterface_factory = supervisor.rpcinterface:make_main_rpcinterface",
                 "[supervisorctl]", f"serverurl=unix://{self.d}/s.sock"]
        for name, service in services.items():
            lines += [f"[program:{name}]", f"command={' '.join(service['command'])}", "startsecs=0", "autorestart=true",
                      f"stdout_logfile={self.logfile(name)}", "stdout_logfile_maxbytes=0", "redirect_stderr=true"]
        self.write("s.conf", "\n".join(lines) + "\n")

    def client(self, word): return self.sh(PEERS + "/v/bin/supervisorctl", "-c", self.d + "/s.conf", word)
    def start(self): self.background(self.path(), "-c", self.d + "/s.conf")
    def stop(self): self.client("shutdown"); self.ended()
    def status(self): return self.client("status")


class Circus(Peer):
    name, program = "circus", "v/bin/circusd"

    def configure(self, services):
        lines = ["[circus]", f"endpoint=ipc://{self.d}/c.sock", f"pubsub_endpoint=ipc://{self.d}/p.sock"]
        for name, service in services.items():
            lines += [f"[watcher:{name}]", f"cmd={' '.join(service['command'])}", "copy_env=True",
                      "stdout_stream.class=FileStream", f"stdout_stream.filename={self.logfile(name)}"]
        self.write("c.ini", "\n".join(lines) + "\n")

    def client(self, word): return self.sh(PEERS + "/v/bin/circusctl", "--endpoint", f"ipc://{self.d}/c.sock", word)
    def start(self): self.background(self.path(), self.d + "/c.ini")
    def stop(self): self.client("quit"); self.ended()
    def status(self): return self.client("status")


class Pm2(Peer):
    name, program = "pm2", "node_modules/.bin/pm2"

    def extra(self): return {"PM2_HOME": self.d + "/pm2"}

    def configure(self, services):
        apps = [{"name": name, "script": service["command"][0], "args": service["command"][1:], "interpreter": "none", "exec_mode": "fork"}
                for name, service in services.items()]
        self.write("apps.json", json.dumps({"apps": apps}))

    def start(self): self.background(self.path(), "start", self.d + "/apps.json")
    def stop(self): self.sh(self.path(), "kill")
    def status(self): return self.sh(self.path(), "jlist")

    def supervisors(self):
        new = [process for process in psutil.process_iter(["cmdline"]) if process.pid not in self.bench.before]
        return [process for process in new if "God Daemon" in " ".join(process.info["cmdline"] or [])]

    def logfile(self, name): return f"{self.d}/pm2/logs/{name}-out.log"

    def kill(self):
        self.stop()
        super().kill()


ALL = [Muster, ProcessCompose, Pitchfork, Pueue, Supervisord, Circus, Pm2]
