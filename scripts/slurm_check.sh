#!/usr/bin/env bash
# Runs examples/slurm.sh on a real Slurm of one node, which it starts in a temporary folder: an array job of four tasks, one of which is
# killed and queued again, and the merge behind it. The results must have the bytes of a run that was never divided.
#
#   BINARY=/path   the program (default: target/release/am-eval)      SUITE=file.toml   (default: a small one)
#
# Needs root and Debian's packages slurm-wlm and munge, which it installs where apt-get can. Exits with 77, saying why, where it cannot run.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
repository=$PWD

skip() { echo "SKIPPED: the check with Slurm: $1" >&2; exit 77; }
has() { command -v "$1" >/dev/null; }

[ "$(id -u)" = 0 ] || skip "starting Slurm's daemons needs root"
if ! { has slurmctld && has slurmd && has munged; }; then
    has apt-get || skip "slurm-wlm and munge are missing (Debian and Ubuntu: apt install slurm-wlm munge)"
    { apt-get update -q && DEBIAN_FRONTEND=noninteractive apt-get install -qy --no-install-recommends slurm-wlm munge; } >&2 \
        || skip "slurm-wlm and munge cannot be installed"
fi
binary=$(readlink -f "${BINARY:-target/release/am-eval}") || true
[ -x "$binary" ] || skip "no program at ${BINARY:-target/release/am-eval}: make build, or BINARY=/path"

work=$(mktemp -d)
daemons=()
finish() {
    status=$?
    [ "$status" = 0 ] || tail -n 20 "$work"/*.log "$work"/logs/* >&2 2>/dev/null || true
    kill "${daemons[@]}" 2>/dev/null || true
    wait 2>/dev/null || true
    rm -rf "$work"
    exit "$status"
}
trap finish EXIT

# --- Slurm on one node, with four processors whatever the machine has.
node=$(hostname -s)
export SLURM_CONF=$work/slurm.conf OMP_NUM_THREADS=1
mkdir -p "$work/state" "$work/spool" "$work/bin"
head -c 1024 /dev/urandom > "$work/munge.key"
chmod 700 "$work"
chmod 400 "$work/munge.key"
cat > "$SLURM_CONF" <<CONF
ClusterName=check
SlurmctldHost=$node(127.0.0.1)
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket=$work/munge.socket
CredType=cred/munge
SlurmctldPort=16817
SlurmdPort=16818
StateSaveLocation=$work/state
SlurmdSpoolDir=$work/spool
SlurmctldPidFile=$work/slurmctld.pid
SlurmdPidFile=$work/slurmd.pid
SlurmctldLogFile=$work/slurmctld.log
SlurmdLogFile=$work/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SwitchType=switch/none
MpiDefault=none
ReturnToService=2
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
SlurmdParameters=config_overrides
JobRequeue=1
MinJobAge=3600
NodeName=$node NodeAddr=127.0.0.1 CPUs=4 RealMemory=4000 State=UNKNOWN
PartitionName=check Nodes=$node Default=YES MaxTime=INFINITE State=UP
CONF
munged --foreground --force --key-file="$work/munge.key" --socket="$work/munge.socket" --pid-file="$work/munged.pid" \
    --log-file="$work/munged.log" --seed-file="$work/munged.seed" > "$work/munged.out.log" 2>&1 &
daemons+=($!)
for _ in $(seq 50); do [ -S "$work/munge.socket" ] && break; sleep 0.1; done
slurmctld -D > "$work/slurmctld.out.log" 2>&1 &
daemons+=($!)
slurmd -D -N "$node" > "$work/slurmd.out.log" 2>&1 &
daemons+=($!)
for _ in $(seq 100); do sinfo -h -o %T 2>/dev/null | grep -q idle && break; sleep 0.3; done
sinfo -h -o %T 2>/dev/null | grep -q idle || skip "its node does not start here: $(tail -n 1 "$work/slurmd.log" 2>/dev/null)"

# --- The suite, once undivided.
suite=${SUITE:-}
if [ -z "$suite" ]; then
    suite=$work/small.toml
    sed "s|REPOSITORY|$repository|" > "$suite" <<'SUITE'
schema = 1
name = "small"
seed = 5
[run]
block = 4
[data]
kind = "synthetic"
size = 40
samples = 32
[[model]]
name = "cnn"
arch = "cifar/resnet8"
weights = "REPOSITORY/models/synthetic-cnn.safetensors"
normalize = { mean = [0.5, 0.5, 0.5], std = [0.25, 0.25, 0.25] }
[[attack]]
name = "margin"
kind = "class-logit"
loss = "margin"
norm = "linf"
epsilons = ["1/255", "4/255"]
steps = 40
[boundary]
norm = "linf"
steps = 20
SUITE
fi
ln -s "$binary" "$work/bin/am-eval"
export PATH=$work/bin:$PATH
cd "$work"
am-eval run "$suite" --device cpu --out whole --no-progress > whole.log 2>&1

# --- Divided, with one task killed by its scheduler and queued again.
DEVICE=cpu CPUS=1 MEMORY=900M MERGE_MEMORY=900M PARTITION=check OUT=parts "$repository/examples/slurm.sh" "$suite" 4 > jobs
merge=$(tail -n 1 jobs)
array=$(squeue -h -r -o %F | sort -n | head -n 1)
for _ in $(seq 600); do
    ls parts/*/blocks/*.block >/dev/null 2>&1 && squeue -h -r -j "${array}_2" -o %T | grep -q RUNNING && break
    sleep 0.1
done
scontrol requeue "${array}_2"
sleep 1
scontrol update "JobId=${array}_2" StartTime=now 2>/dev/null || true # else it waits for two minutes
echo "task 2 of job $array was killed and queued again"
for _ in $(seq 3000); do
    state=$(scontrol show job "$merge" | sed -n 's/.*JobState=\([A-Z]*\).*/\1/p')
    case "$state" in COMPLETED|FAILED|CANCELLED|TIMEOUT) break;; esac
    sleep 0.2
done
[ "$state" = COMPLETED ] || { echo "the merge ended as $state" >&2; exit 1; }
restarts=$(scontrol show job "${array}_2" | sed -n 's/.*Restarts=\([0-9]*\).*/\1/p' | head -n 1)
[ "${restarts:-0}" -ge 1 ] || { echo "no task was queued again" >&2; exit 1; }
for name in samples.csv distances.csv; do
    cmp whole/*/"$name" parts/*/"$name" || { echo "$name differs from that of the undivided run" >&2; exit 1; }
done
echo "four tasks, one of them queued again, and a merge: the same bytes as undivided"
