#!/bin/bash
# One run on many GPUs with Slurm: an array job whose tasks compute shares of the run, and a job behind it that merges them.
#
#     examples/slurm.sh suites/cifar10.toml 8       # eight tasks, one GPU each
#
# The directory of the run lies on a file system that all nodes see. Tasks that die, are cancelled or run out of time keep what they have
# finished: the same command goes on. Adapt partition, time and memory; DEVICE=cpu asks for no GPU.
set -euo pipefail
suite=${1:?the suite} tasks=${2:-4} out=${OUT:-reports} partition=${PARTITION:-gpu}
device=${DEVICE:-cuda} cpus=${CPUS:-8} memory=${MEMORY:-32G}
gpus=()
[ "$device" = cpu ] || gpus=(--gpus-per-task=1)
mkdir -p logs

# The array's tasks read their share from SLURM_ARRAY_TASK_ID and _COUNT. Exit code 75 (device lost or full) requeues the task.
array=$(sbatch --parsable --job-name=am-eval --array="0-$((tasks - 1))" --partition="$partition" "${gpus[@]}" --ntasks=1 \
    --cpus-per-task="$cpus" --mem="$memory" --time=04:00:00 --requeue --output=logs/%A-%a.out <<JOB
#!/bin/bash
am-eval run "$suite" --device "$device" --shard auto --out "$out" --no-progress
code=\$?
if [ "\$code" = 75 ] && [ "\${SLURM_RESTART_COUNT:-0}" -lt 3 ]; then
    scontrol requeue "\${SLURM_ARRAY_JOB_ID}_\${SLURM_ARRAY_TASK_ID}"
fi
exit "\$code"
JOB
)

# Behind all tasks, however they ended: merge writes the outputs, or names what is missing (exit code 5) and which command goes on.
sbatch --parsable --job-name=am-eval-merge --dependency="afterany:$array" --partition="$partition" --ntasks=1 --cpus-per-task=1 --mem="${MERGE_MEMORY:-8G}" \
    --time=00:30:00 --output=logs/%j-merge.out <<JOB
#!/bin/bash
set -e
name=\$(sed -n 's/^name *= *"\(.*\)".*/\1/p' "$suite" | head -1)
run=\$(ls -dt "$out/\$name"-*/ | head -1)
am-eval merge "\$run"
! grep -q '^\[\[gate' "$suite" || am-eval gate "\$run"
JOB
