"""What a program with docker-py does, and what it relies on. Run by docker_py.rs."""

import sys
import time

import docker
from docker.types import LogConfig

image = sys.argv[1]
client = docker.from_env(timeout=180)


def check(condition, what):
    assert condition, what


def refused(code, text, act):
    try:
        act()
    except docker.errors.APIError as error:
        check(error.status_code == code, error)
        check(text in str(error.explanation), error)
    else:
        raise AssertionError(f"{text}: not refused")


began = time.time()
log = LogConfig(type="json-file", config={"max-size": "10k", "max-file": "3", "labels": "tier"})
script = "i=0; while [ $i -lt 50 ]; do i=$((i+1)); echo line $i; done; echo error >&2; sleep 1000000; true"
container = client.containers.run(
    image, ["sh", "-c", script], name="library", detach=True, labels={"tier": "front"}, log_config=log,
    mem_limit="128m")
check(container.status in ("created", "running"), container.status)
container.reload()
check(container.status == "running", container.status)
check(container.attrs["HostConfig"]["LogConfig"] == {"Type": "json-file", "Config": dict(log.config)}, container.attrs)
check(container.attrs["State"]["Running"] and container.attrs["State"]["Pid"] > 0, container.attrs["State"])

# Logs: whole, the end, one stream, followed until the lines are there, with times.
lines = []
for line in container.logs(stream=True, follow=True):
    lines.append(line)
    if len(lines) == 51:
        break
check(sorted(lines)[0] == b"error\n", lines)
check(container.logs(stdout=False) == b"error\n", "stderr")
check(container.logs(stderr=False, tail=2) in (b"line 49\nline 50\n", b"line 50\n"), container.logs(tail=2))
check(container.logs(stderr=False, since=int(began) - 5).count(b"\n") == 50, "since")
check(container.logs(until=int(began) - 3600) == b"", "until")
check(container.logs(timestamps=True, tail=1)[:2] == b"20", "timestamps")

# Processes and figures.
top = container.top(ps_args="-eo pid,args")
check(top["Titles"] == ["PID", "COMMAND"] and len(top["Processes"]) == 2, top)
stats = container.stats(stream=False)
check(stats["memory_stats"]["limit"] == 128 << 20, stats)
check(stats["cpu_stats"]["cpu_usage"]["total_usage"] >= stats["precpu_stats"]["cpu_usage"]["total_usage"] > 0, stats)
check(stats["pids_stats"]["current"] == 2, stats)
single = container.stats(stream=False, one_shot=True)
check("system_cpu_usage" not in single["precpu_stats"], single)
flow = container.stats(stream=True, decode=True)
check(next(flow)["id"] == container.id and next(flow)["precpu_stats"]["system_cpu_usage"] > 0, "a stream of stats")
flow.close()

# Limits.
container.update(mem_limit="64m", restart_policy={"Name": "on-failure", "MaximumRetryCount": 2})
container.reload()
check(container.attrs["HostConfig"]["Memory"] == 64 << 20, container.attrs["HostConfig"])
check(container.attrs["HostConfig"]["RestartPolicy"] == {"Name": "on-failure", "MaximumRetryCount": 2}, "policy")
refused(409, "built with less", lambda: container.update(mem_limit="1g"))
refused(400, "no log driver named 'syslog'", lambda: client.containers.create(
    image, log_config=LogConfig(type="syslog", config={})))

# The end of it, and what was told of it.
container.stop(timeout=0)
container.reload()
check(container.attrs["State"]["Status"] == "exited" and container.attrs["State"]["ExitCode"] == 137, "exited")
refused(409, "is not running", container.top)
pruned = client.containers.prune(filters={"label": ["tier=front"]})
check(pruned["ContainersDeleted"] == [container.id], pruned)
check(pruned["SpaceReclaimed"] > 0, pruned)
until = time.time() + 1
told = [event["Action"] for event in client.events(
    since=int(began) - 60, until=int(until) + 60, filters={"container": container.id}, decode=True)]
for action in ("create", "start", "top", "update", "die", "destroy"):
    check(action in told, told)
check(told.index("create") < told.index("start") < told.index("die") < told.index("destroy"), told)
check("json-file" in client.info()["Plugins"]["Log"], client.info())
print("all as docker has it")
