#!/usr/bin/env python3
"""Measure process supervisors on the same work, side by side, in one run.

usage: peers.py [--quick] [--rounds 5] [--n 100,500,1000] [--only PEER,...] [--tests T,...] [--bytes 5e8] [--peer-s 1800] [--results DIR]

Run it as `cargo xtask bench`, which builds what it needs. Peers that are not installed are left out; `cargo xtask bench
--setup` installs those that have packages into $PEERS. $WORKER is the built worker.c, $MUSTER the project's binary.

The rounds are interleaved: every peer is measured once before any is measured again, in turning order, so that a slow
minute of the machine hits all of them. Single numbers differ from machine to machine; quote the ratios of one run.

Nothing outlives a run: every measurement ends what it started, whichever tests were asked for, and a run begins by ending
what a killed one left (by pid and start time, and by the environment that we gave). No peer can eat the run: a measurement
has a time limit that grows with the fleet, all measurements of a peer together have --peer-s. Results are written after
every round.

tests: up, memory, idle, status, crash, stop (a fleet of idle services), flood (one service that writes as fast as it is
read, against the same program writing to a file itself), chain (five services, each needing the previous one ready).
"""
import argparse, datetime, fcntl, json, os, platform, signal, statistics, subprocess, sys, time
import psutil
from supervisors import ALL, RUN, WORKER_NAME, Bench, end_leftovers, is_worker, record

FLEET_TESTS = ("up", "memory", "idle", "status", "crash", "stop")
CHAIN_LENGTH, CHAIN_STEP_MS, CHAIN_PORT = 5, 200, 17100
IDLE_S, IDLE_QUICK_S = 20, 5
# the slowest peer takes 27 s to stop a hundred; who takes longer than this for one measurement is not measured again
FLEET_LIMIT_S, FLEET_LIMIT_PER_SERVICE_S, FLOOD_LIMIT_S, CHAIN_LIMIT_S = 90, 0.4, 240, 90
PEER_S = 1800

# of these a lower or higher number is not better as such: no best peer, no ratio
NOT_COMPARED = ("private_kb", "procs", "left_over", "kept_pct")

# key, what it is, unit, whether less is better
METRICS = [
    ("up_s", "all running, from nothing", "s", True),
    ("pss_mb", "memory of everything that is not the service", "MB", True),
    ("private_kb", "private memory of the median process of it", "kB", True),
    ("procs", "processes of it", "", True),
    ("idle_cpu_pct", "idle CPU", "% of a core", True),
    ("status_ms", "status, the whole command", "ms", True),
    ("restart_ms", "killed to restarted", "ms", True),
    ("stop_s", "all stopped", "s", True),
    ("left_over", "services still there after the stop", "", True),
    ("flood_mbps", "a flooding service", "MB/s", False),
    ("flood_x", "the same / writing to a file itself", "x", False),
    ("kept_pct", "bytes of it that were kept", "%", False),
    ("chain_s", f"{CHAIN_LENGTH} services in a chain ready", "s", True),
    ("chain_x", "the same / the sum of their own times", "x", True),
]


def smaps(pid):
    """(proportional, private) kB of a process; zero once it is gone"""
    sizes = {}
    try:
        with open(f"/proc/{pid}/smaps_rollup") as file:
            for line in file:
                words = line.split()
                if words[0].endswith(":") and len(words) == 3: sizes[words[0]] = int(words[1])
    except OSError:
        pass
    return sizes.get("Pss:", 0), sizes.get("Private_Clean:", 0) + sizes.get("Private_Dirty:", 0)


def cpu_seconds(processes):
    """run time of all threads; schedstat counts nanoseconds, where utime counts ticks of 10 ms"""
    total = 0
    for process in processes:
        try:
            for thread in os.listdir(f"/proc/{process.pid}/task"):
                with open(f"/proc/{process.pid}/task/{thread}/schedstat") as file: total += int(file.read().split()[0])
        except OSError:
            pass
    return total / 1e9


def settled(peer, seconds=2):
    """the peer's processes that stay: seen now and again after some time"""
    first = {process.pid for process in peer.supervisors()}
    time.sleep(seconds)
    return [process for process in peer.supervisors() if process.pid in first]


def restart_times(bench, n):
    """milliseconds from the kill to the start of the next run, for up to ten of the services"""
    times = []
    for i in range(0, n, max(1, n // 10)):
        name = f"s{i:04d}"
        old = bench.marks("start", name)
        killed = time.monotonic()
        os.kill(max(old, key=lambda pid: old[pid]), signal.SIGKILL)
        new = bench.wait(lambda: {p: t for p, t in bench.marks("start", name).items() if p not in old}, 15, pause=0.005)
        times.append((min(new.values()) - killed) * 1000 if new else 15_000)
        if len(times) >= 3 and sum(times) > 5_000: break  # it takes seconds each time: three of them say so
    return times


class OverTime(Exception):
    """a measurement took longer than it may"""


class Limit:
    """raises OverTime in the middle of whatever goes on when the time is over"""

    def __init__(self, seconds): self.seconds = seconds

    def __enter__(self):
        signal.signal(signal.SIGALRM, self.over)
        signal.setitimer(signal.ITIMER_REAL, self.seconds)

    def __exit__(self, *error): signal.setitimer(signal.ITIMER_REAL, 0)

    def over(self, *_): raise OverTime(f"not done within {self.seconds:.0f} s")


def fleet(peer, bench, row, n, tests, idle_s):
    """n idle services: from nothing to running, at rest, asked, killed one by one, stopped"""
    peer.configure({f"s{i:04d}": {"command": [bench.worker, "idle", f"s{i:04d}"]} for i in range(n)})
    began = time.monotonic()
    peer.start()
    if not bench.wait(lambda: bench.count("start") >= n, 120, pause=0.02):
        row["error"] = f"{bench.count('start')} of {n} services started within 120 s"
        return
    row["up_s"] = max(bench.marks("start").values()) - began
    ours = settled(peer)
    record(process.pid for process in ours)
    if "memory" in tests:
        sizes = [smaps(process.pid) for process in ours]
        row["pss_mb"] = sum(size[0] for size in sizes) / 1024
        row["private_kb"] = statistics.median(size[1] for size in sizes) if sizes else None
        row["procs"] = len(ours)
        names = [process.name() for process in ours if process.is_running()]
        row["counted"] = {name: names.count(name) for name in sorted(set(names))}
    if "idle" in tests:
        before = cpu_seconds(ours)
        time.sleep(idle_s)
        row["idle_cpu_pct"] = (cpu_seconds(ours) - before) / idle_s * 100
    if "status" in tests:
        times = []
        for _ in range(11):
            asked = time.monotonic()
            if peer.status().returncode != 0: row["error"] = "status failed"
            times.append(time.monotonic() - asked)
        row["status_ms"] = statistics.median(times) * 1000
    if "crash" in tests and peer.restarts:
        row["restart_ms"] = statistics.median(restart_times(bench, n))
    if "stop" in tests:
        asked = time.monotonic()
        peer.stop()
        gone = bench.wait(lambda: not bench.any_alive(), 30)
        row["stop_s"] = time.monotonic() - asked if gone else None
        row["left_over"] = len(bench.alive())


def flood(peer, bench, row, size):
    """one service writes `size` bytes to its standard output as fast as they are read"""
    peer.configure({"spew": {"command": [bench.worker, "spew", "spew", str(size)]}})
    peer.start()
    done = bench.wait(lambda: bench.marks("done"), 180)
    if not done:
        row["error"] = "the flood did not end within 180 s"
        return
    row["flood_mbps"] = size / max(done.values()) / 1e6
    if peer.logsize("spew") is not None:
        bench.wait(lambda: peer.logsize("spew") >= size, 5)
        row["kept_pct"] = peer.logsize("spew") / size * 100


def flood_file(bench, size):
    """what the program manages when it writes to a file itself: MB/s"""
    path = os.path.join(bench.folder, "flood.log")
    with open(path, "wb") as out:
        process = subprocess.Popen([bench.worker, "spew", "file", str(size)], stdout=out, env=bench.env())
        done = bench.wait(lambda: bench.marks("done", "file"), 180)
        process.kill(); process.wait()
    os.unlink(path)
    return size / max(done.values()) / 1e6


def chain(peer, bench, row):
    """each service needs the previous one ready; the best possible time is the sum of what they take themselves"""
    names = [f"c{i}" for i in range(CHAIN_LENGTH)]
    peer.configure({name: {"command": [bench.worker, "serve", name, str(CHAIN_PORT + i), str(CHAIN_STEP_MS)],
                           "port": CHAIN_PORT + i, "needs": names[i - 1] if i else None} for i, name in enumerate(names)})
    began = time.monotonic()
    peer.start()
    if not bench.wait(lambda: bench.count("listen") >= CHAIN_LENGTH, 60):
        row["error"] = f"{bench.count('listen')} of {CHAIN_LENGTH} services of the chain listened within 60 s"
        return
    own = sum(max(bench.marks("listen", name).values()) - max(bench.marks("start", name).values()) for name in names)
    took = max(bench.marks("listen").values()) - began
    row.update(chain_s=took, chain_x=took / own)


def measured(cls, limit_s, work, heavy):
    """one measurement of one peer, from an empty folder to no process left, whatever happens in between; what was measured
    before something went wrong counts"""
    row = {}
    with Bench(cls.name, heavy) as bench:
        peer = cls(bench)
        try:
            with Limit(limit_s): work(peer, bench, row)
        except Exception as error:  # one peer that breaks must not end the run of the others
            row["error"] = str(error) if isinstance(error, OverTime) else repr(error)
        try:
            with Limit(limit_s): peer.kill()
        except Exception as error:  # what it leaves is ended with the folder
            row.setdefault("error", f"its end: {error!r}")
    return row


def turned(peers, turn):
    first = turn % max(1, len(peers))
    return peers[first:] + peers[:first]


class Run:
    """the rows so far, in the order in which they were measured"""

    def __init__(self, options, peers, finish):
        self.options, self.peers, self.finish = options, peers, finish
        self.rows, self.broken, self.spent = [], set(), dict.fromkeys(peers, 0)

    def measure(self, cls, n, turn, limit_s, work, heavy=False, extra=lambda row: None):
        """one row, unless the peer broke at this before or used up its time"""
        if (cls, n) in self.broken: return
        began = time.monotonic()
        row = measured(cls, limit_s, work, heavy)
        extra(row)
        self.spent[cls] += time.monotonic() - began
        if "error" not in row and self.spent[cls] > self.options.peer_s and cls.name != "muster":
            row["error"] = f"measured no further: its {self.options.peer_s:.0f} s are used up"
        self.rows.append({"peer": cls.name, "n": n, "round": turn, **row})
        print(json.dumps({k: round(v, 4) if isinstance(v, float) else v for k, v in self.rows[-1].items()}), flush=True)
        if "error" in row: self.broken.add((cls, n))

    def allowed(self, turn, of=lambda cls: True):
        """whose turn it is"""
        return [cls for cls in turned([cls for cls in self.peers if of(cls)], turn)
                if self.spent[cls] <= self.options.peer_s or cls.name == "muster"]

    def fleets(self, n, turn):
        limit_s = FLEET_LIMIT_S + n * FLEET_LIMIT_PER_SERVICE_S
        for cls in self.allowed(turn):
            self.measure(cls, n, turn, limit_s,
                         lambda peer, bench, row: fleet(peer, bench, row, n, self.options.tests, self.options.idle_s))

    def floods(self, turn):
        size = self.options.bytes
        with Bench("file", heavy=True) as bench: base = flood_file(bench, size)
        print(json.dumps({"file_mbps": round(base, 1), "round": turn}), flush=True)
        def against(row):
            if "flood_mbps" in row: row["flood_x"] = row["flood_mbps"] / base
        for cls in self.allowed(turn):
            self.measure(cls, "flood", turn, FLOOD_LIMIT_S, lambda peer, bench, row: flood(peer, bench, row, size), heavy=True, extra=against)

    def chains(self, turn):
        for cls in self.allowed(turn, lambda cls: cls.chains): self.measure(cls, "chain", turn, CHAIN_LIMIT_S, chain)

    def all(self):
        """everything that was asked for; results after every round"""
        for n in self.options.n if set(self.options.tests) & set(FLEET_TESTS) else []:
            for turn in range(self.options.rounds):
                self.fleets(n, turn)
                self.finish(self.rows)
        for turn in range(self.options.rounds):
            if "flood" in self.options.tests: self.floods(turn)
            if "chain" in self.options.tests: self.chains(turn)
            self.finish(self.rows)


def summary(rows, peers):
    """per size and metric: the median of each peer, and ours against the best other"""
    lines = []
    for n in dict.fromkeys(row["n"] for row in rows):
        for key, what, unit, less in METRICS:
            medians = {}
            for cls in peers:
                values = [row[key] for row in rows if row["peer"] == cls.name and row["n"] == n and row.get(key) is not None]
                if values: medians[cls.name] = statistics.median(values)
            if not medians: continue
            others = {name: value for name, value in medians.items() if name != "muster" and key not in NOT_COMPARED}
            best = (min if less else max)(others, key=others.get) if others else None
            ratio = medians["muster"] / others[best] if best and "muster" in medians and others[best] else None
            lines.append({"n": n, "metric": key, "what": what, "unit": unit, "less_is_better": less, "medians": medians,
                          "best_peer": best, "muster_to_best": ratio})
    return lines


def markdown(head, lines, errors, peers):
    number = lambda value: "" if value is None else f"{value:.3g}" if abs(value) < 1000 else f"{value:.0f}"
    names = [cls.name for cls in peers]
    text = [f"# Measured on {head['date']}", "", f"{head['cpus']} CPUs ({head['cpu']}), {head['kernel']}, load {head['load']} before; "
            f"{head['rounds']} rounds, medians. Ratio: muster to the best peer.", "",
            "; ".join(f"{name} {version}" for name, version in head["versions"].items()), "",
            "| what | n | " + " | ".join(names) + " | best peer | ratio |", "|---|---|" + "---|" * (len(names) + 2)]
    for line in lines:
        unit = f", {line['unit']}" if line["unit"] else ""
        cells = [number(line["medians"].get(name)) for name in names]
        text.append(f"| {line['what']}{unit} | {line['n']} | " + " | ".join(cells)
                    + f" | {line['best_peer'] or ''} | {number(line['muster_to_best'])} |")
    if errors: text += ["", "Not measured:"] + [f"- {error}" for error in errors]
    return "\n".join(text) + "\n"


def machine(options, peers):
    cpu = platform.processor() or platform.machine()
    try:
        with open("/proc/cpuinfo") as file: cpu = next((l.split(":")[1].strip() for l in file if l.startswith("model name")), cpu)
    except OSError:
        pass
    return {"date": datetime.date.today().isoformat(), "cpus": os.cpu_count(), "cpu": cpu, "kernel": platform.system() + " " + platform.release(),
            "load": round(os.getloadavg()[0], 2), "rounds": options.rounds, "bytes": options.bytes,
            "versions": {cls.name: cls.version() for cls in peers}}


def read_options():
    parser = argparse.ArgumentParser(description="measure supervisors side by side")
    comma = lambda text: [word for word in text.split(",") if word]
    parser.add_argument("--quick", action="store_true", help="one round of 100")
    parser.add_argument("--rounds", type=int)
    parser.add_argument("--n", type=lambda text: [int(word) for word in comma(text)])
    parser.add_argument("--only", type=comma, default=[])
    parser.add_argument("--tests", type=comma, default=[*FLEET_TESTS, "flood", "chain"])
    parser.add_argument("--bytes", type=lambda text: int(float(text)))
    parser.add_argument("--peer-s", type=float, default=PEER_S, help="seconds that one peer may take in all")
    parser.add_argument("--results")
    options = parser.parse_args()
    options.rounds = options.rounds or (1 if options.quick else 5)
    options.n = options.n or ([100] if options.quick else [100, 500, 1000])
    options.bytes = (options.bytes or (100_000_000 if options.quick else 500_000_000)) // 100 * 100
    options.idle_s = IDLE_QUICK_S if options.quick else IDLE_S
    unknown = set(options.only) - {cls.name for cls in ALL} | set(options.tests) - {*FLEET_TESTS, "flood", "chain"}
    if unknown: parser.error(f"unknown: {', '.join(sorted(unknown))}")
    return options


def main():
    options = read_options()
    wanted = [cls for cls in ALL if not options.only or cls.name in options.only]
    peers = [cls for cls in wanted if cls.installed()]
    missing = [f"{cls.name}: not installed" for cls in wanted if not cls.installed()]
    for line in missing: print(line, file=sys.stderr)
    if not peers: sys.exit("nothing to measure")
    os.makedirs(RUN, exist_ok=True)
    lock = open(os.path.join(RUN, "lock"), "w")
    try: fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError: sys.exit("another measurement runs on this machine")
    left = end_leftovers()
    if left: print(f"ended {left} processes that an interrupted run left", file=sys.stderr)
    Bench.clean()
    if any(is_worker(pid) for pid in psutil.pids()):
        sys.exit(f"a {WORKER_NAME} runs that no measurement of this folder started")
    # so that a run that is told to end takes down what it started
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended by SIGTERM"))
    head = machine(options, peers)
    def finish(rows):
        """the results of the rows so far; the text of them"""
        lines = summary(rows, peers)
        errors = missing + sorted({f"{row['peer']}, {row['n']}: {row['error']}" for row in rows if "error" in row})
        text = markdown(head, lines, errors, peers)
        if options.results:
            os.makedirs(options.results, exist_ok=True)
            base = os.path.join(options.results, head["date"])
            replace(base + ".json", json.dumps({**head, "summary": lines, "rows": rows}, indent=1))
            replace(base + ".md", text)
        return text
    run = Run(options, peers, finish)
    try: run.all()
    finally: Bench.clean()
    print("\n" + finish(run.rows))
    if options.results: print(f"written: {options.results}/{head['date']}.json and .md", file=sys.stderr)


def replace(path, text):
    """the whole file or the one before"""
    with open(path + ".new", "w") as file: file.write(text)
    os.replace(path + ".new", path)


if __name__ == "__main__":
    main()
