"""A sound job file that uses most keys, and random wounds to it."""

SOUND = """\
params: [date, flavor]
schedule:
  - type: daily
    tz: America/New_York
    calendar: Mon-Fri
    daytime: ["09:30:00", "16:00"]
    args: {flavor: vanilla}
    cal_shift: -1
  - start: {type: interval, interval: 1h, phase: 5 min, args: {flavor: x}}
    stop: {type: duration, duration: 600}
  - {type: cron, expression: "5 4 * * sun", tz: UTC, args: {flavor: y, date: z}}
  - type: daily-interval
    tz: Europe/Berlin
    start: "09:00"
    stop: {daytime: "01:00:00", date_shift: 1}
    interval: 90 s
    args: {flavor: z}
program:
  type: procstar-shell
  command: |
    echo "{{ date }} {{ Date(date) + 1 }} {{ flavor }}"
  stop: {signal: SIGTERM, grace_period: 10}
  timeout: {duration: 1h, signal: INT}
  resources: {mem_max_gb: 1.5}
  limits: {memory_max: 1 GB, cpu_max: 1.5, pids_max: 9}
  env: {A: 1}
  umask: "027"
condition:
  - {type: max_running, count: 2}
  - {type: dependency, job_id: other, args: {x: "{{ flavor }}"}, states: [success], exist: true}
  - {type: skip_duplicate, check_states: waiting, target_state: skipped}
action: {type: schedule, job_id: other, args: {x: 1}, if: {states: [error]}}
successors: [{job_id: other, args: {x: 2}}]
metadata: {description: "a *job*", labels: [x, y], more: {n: 1.5}}
"""
SCRAPS = [
    "null", "~", "true", "[]", "{}", "''", "-1", "1e999", ".nan", "0x", "99999999999999999999",
    "'\\0'", "\x00", "\t", ": ", "- ", "{{ x", "{% for %}", "{{ 9**9**9 }}", "*a", "&a ", "!!int ",
    "<<", "|", ">", "#", "---", "...", "%YAML 1.1", "\ufeff", "\u2028", "ä", "𝄞", "2024-02-30",
    "24:00:00", "9:60", "Feb", "* * 31 2 *", "0 0 30 2 *", "UTC", "Mars", "../../etc", "lost",
    "new", "type", "start", "stop", "'", '"', "[", "]", "{", "}", ",",
]  # fmt: skip


def spoilt(chance):
    """Return the sound file with a few random wounds, as bytes."""
    lines = SOUND.splitlines(keepends=True)
    for _ in range(chance.choice([1, 1, 1, 2, 4])):
        place = chance.randrange(len(lines))
        line = lines[place]
        where = chance.randrange(len(line) + 1)
        match chance.randrange(7):
            case 0:
                lines[place] = line[:where] + chance.choice(SCRAPS) + line[where:]
            case 1:
                lines[place] = line[:where] + line[where + chance.randint(1, 9) :]
            case 2:
                lines[place] = line.partition(":")[0] + ": " + chance.choice(SCRAPS) + "\n"
            case 3:
                lines.insert(place, lines[chance.randrange(len(lines))])
            case 4:
                lines[place] = " " * chance.randrange(6) + line.lstrip()
            case 5:
                lines[place] = line.replace(chance.choice([*line, ":"]), chance.choice(SCRAPS))
            case _:
                lines[place] = ""
    raw = "".join(lines).encode()
    if chance.random() < 0.1:
        where = chance.randrange(len(raw))
        raw = raw[:where] + chance.randbytes(chance.randint(1, 8)) + raw[where:]
    return raw
