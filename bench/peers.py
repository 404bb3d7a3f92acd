#!/usr/bin/env python3
"""Measure process supervisors on the same work, side by side, in one run.

usage: peers.py [--quick] [--rounds 5] [--n 100,500,1000] [--only PEER,...] [--tests T,...] [--bytes 5e8] [--results DIR]

Run it as `cargo xtask bench`, which builds what it needs. Peers that are not installed are left out; `cargo xtask bench
--setup` installs those that have packages into $PEERS. $WORKER is the built worker.c, $MUSTER the project's binary.

The rounds are interleaved: every peer is measured once before any is measured again, in turning order, so that a slow
minute of the machine hits all of them. Single numbers differ from machine to machine; quote the ratios of one run.

tests: up, memory, idle, status, crash, stop (a fleet of idle services), flood (one service that writes as fast as it is
read, against the same program writing to a file itself), chain (five services, each needing the previous one ready).
"""
import argparse, datetime, json, os, platform, signal, statistics, subprocess, sys, time
import psutil
from supervisors import ALL, WORKER_NAME, Bench

FLEET_TESTS = ("up", "memory", "idle", "status", "crash", "stop")
CHAIN_LENGTH, CHAIN_STEP_MS, CHAIN_PORT = 5, 200, 17100
IDLE_S, IDLE_QUICK_S = 20, 5

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


def fleet(peer, bench, n, tests, idle_s):
    """n idle services: from nothing to running, at rest, asked, killed one by one, stopped"""
    row = {}
    peer.configure({f"s{i:04d}": {"command": [bench.worker, "idle", f"s{i:04d}"]} for i in range(n)})
    began = time.monotonic()
    peer.start()
    if not bench.wait(lambda: bench.count("start") >= n, 120, pause=0.02):
        return {"error": f"{bench.count('start')} of {n} services started within 120 s"}
    row["up_s"] = max(bench.marks("start").values()) - began
    ours = settled(peer)
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
    return row


def flood(peer, bench, size):
    """one service writes `size` bytes to its standard output as fast as they are read"""
    peer.configure({"spew": {"command": [bench.worker, "spew", "spew", str(size)]}})
    peer.start()
    done = bench.wait(lambda: bench.marks("done"), 180)
    if not done: return {"error": "the flood did not end within 180 s"}
    row = {"flood_mbps": size / max(done.values()) / 1e6}
    if peer.logsize("spew") is not None:
        bench.wait(lambda: peer.logsize("spew") >= size, 5)
        row["kept_pct"] = peer.logsize("spew") / size * 100
    peer.stop()
    return row


def flood_file(bench, size):
    """what the program manages when it writes to a file itself: MB/s"""
    path = os.path.join(bench.folder, "flood.log")
    with open(path, "wb") as out:
        process = subprocess.Popen([bench.worker, "spew", "file", str(size)], stdout=out, env=bench.env())
        done = bench.wait(lambda: bench.marks("done", "file"), 180)
        process.kill(); process.wait()
    os.unlink(path)
    return size / max(done.values()) / 1e6


def chain(peer, bench):
    """each service needs the previous one ready; the best possible time is the sum of what they take themselves"""
    names = [f"c{i}" for i in range(CHAIN_LENGTH)]
    peer.configure({name: {"command": [bench.worker, "serve", name, str(CHAIN_PORT + i), str(CHAIN_STEP_MS)],
                           "port": CHAIN_PORT + i, "needs": names[i - 1] if i else None} for i, name in enumerate(names)})
    began = time.monotonic()
    peer.start()
    if not bench.wait(lambda: bench.count("listen") >= CHAIN_LENGTH, 60):
        return {"error": f"{bench.count('listen')} of {CHAIN_LENGTH} services of the chain listened within 60 s"}
    own = sum(max(bench.marks("listen", name).values()) - max(bench.marks("start", name).values()) for name in names)
    took = max(bench.marks("listen").values()) - began
    peer.stop()
    return {"chain_s": took, "chain_x": took / own}


def measured(cls, work):
    """one measurement of one peer, from an empty folder to no process left, whatever happens in between"""
    with Bench(cls.name) as bench:
        peer = cls(bench)
        try:
            return work(peer, bench)
        except Exception as error:  # one peer that breaks must not end the run of the others
            return {"error": repr(error)}
        finally:
            peer.kill()


def turned(peers, turn):
    first = turn % max(1, len(peers))
    return peers[first:] + peers[:first]


def run(options, peers):
    """all rows, in the order in which they were measured"""
    rows, broken = [], set()
    def note(cls, n, turn, row):
        rows.append({"peer": cls.name, "n": n, "round": turn, **row})
        print(json.dumps({k: round(v, 4) if isinstance(v, float) else v for k, v in rows[-1].items()}), flush=True)
        if "error" in row: broken.add((cls, n))
    for n in options.n if set(options.tests) & set(FLEET_TESTS) else []:
        for turn in range(options.rounds):
            for cls in turned(peers, turn):
                if (cls, n) in broken: continue
                note(cls, n, turn, measured(cls, lambda peer, bench: fleet(peer, bench, n, options.tests, options.idle_s)))
    for turn in range(options.rounds):
        if "flood" in options.tests:
            with Bench("file") as bench: base = flood_file(bench, options.bytes)
            print(json.dumps({"file_mbps": round(base, 1), "round": turn}), flush=True)
            for cls in turned(peers, turn):
                if (cls, "flood") in broken: continue
                row = measured(cls, lambda peer, bench: flood(peer, bench, options.bytes))
                if "flood_mbps" in row: row["flood_x"] = row["flood_mbps"] / base
                note(cls, "flood", turn, row)
        if "chain" in options.tests:
            for cls in turned([cls for cls in peers if cls.chains], turn):
                if (cls, "chain") in broken: continue
                note(cls, "chain", turn, measured(cls, chain))
    return rows


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
    if any(process.info["name"] == WORKER_NAME for process in psutil.process_iter(["name"])):
        sys.exit(f"a {WORKER_NAME} runs already: another measurement, or what one left behind")
    head = machine(options, peers)
    try: rows = run(options, peers)
    finally: Bench.clean()
    lines = summary(rows, peers)
    errors = missing + sorted({f"{row['peer']}, {row['n']}: {row['error']}" for row in rows if "error" in row})
    text = markdown(head, lines, errors, peers)
    print("\n" + text)
    if options.results:
        os.makedirs(options.results, exist_ok=True)
        base = os.path.join(options.results, head["date"])
        with open(base + ".json", "w") as file: json.dump({**head, "summary": lines, "rows": rows}, file, indent=1)
        with open(base + ".md", "w") as file: file.write(text)
        print(f"written: {base}.json and .md", file=sys.stderr)


if __name__ == "__main__":
    main()
