#!/usr/bin/env bash
# am-eval on a GPU: is it right there, is it the same twice, how fast is it beside a bare PyTorch loop, how does it fail?
#
#   make gpu-check                    builds, then all parts; without a GPU in a small form on the CPU, which only shows that they work
#   PARTS="speed bare" PRECISIONS=bf16 scripts/gpu_check.sh      some of them, in some precisions
#
# Parts run in the order given. Needs python3 (or PYTHON) with torch 2.11, torchvision, safetensors and pillow. A part is left out when too few of LIMIT
# seconds are left. What was made stays in WORK for the next call; the log is in $OUT/log.txt.
set -u
here=$(cd "$(dirname "$0")" && pwd)
PARTS=${PARTS:-parity speed repeat fails bare layouts small users quick sweep calls networks}
PYTHON=${PYTHON:-python3} LIMIT=${LIMIT:-540}
WORK=${WORK:-target/gpu-check/work} OUT=${OUT:-target/gpu-check}
mkdir -p "$OUT" "$WORK"; OUT=$(cd "$OUT" && pwd) WORK=$(cd "$WORK" && pwd)
export PYTHONUNBUFFERED=1
exec > >(tee "$OUT/log.txt") 2>&1
"$PYTHON" -c 'import torch, torchvision, safetensors, PIL' 2>/dev/null || {
    echo "$PYTHON lacks torch, torchvision, safetensors or pillow:"
    echo "    python3 -m pip install torch==2.11.0 torchvision safetensors pillow     (or name another python in PYTHON)"
    exit 2
}
TORCH=${TORCH:-$("$PYTHON" -c 'import os, torch; print(os.path.dirname(torch.__file__))')}
[ -n "${DEVICE:-}" ] || { "$PYTHON" -c 'import sys, torch; sys.exit(not torch.cuda.is_available())' && DEVICE=cuda || DEVICE=cpu; }
[ "$DEVICE" = cpu ] && SMALL=${SMALL:-1}
export DEVICE SMALL=${SMALL:-0}
for binary in ${BINARY:-} "$here/am-eval" target/release/am-eval; do [ -f "$binary" ] && break; done
chmod +x "$binary" 2>/dev/null
binary=$(cd "$(dirname "$binary")" && pwd)/$(basename "$binary")
# torch's libraries first; whatever path leads to the driver's libcuda stays.
LIBS=$TORCH/lib${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}:/usr/local/nvidia/lib64:/usr/local/nvidia/lib
printf '#!/bin/sh\nLD_LIBRARY_PATH=%s LIBTORCH=%s exec %s "$@"\n' "$LIBS" "$TORCH" "$binary" > "$WORK/am"
chmod +x "$WORK/am"
export AM=$WORK/am
few=(); [ "$SMALL" = 1 ] && few=(--limit 4)
if [ "$SMALL" = 1 ]; then archs=(resnet18 vit_b_16) steps=(2 4) batches=(2 4) cifar=16; else archs=(resnet50 vit_b_16) steps=(10 50) batches=(64 128) cifar=4096; fi
first=${archs[0]}-f32-${steps[0]}
part() { echo; echo "=== $1 ($SECONDS s)"; }
left() { [ $((LIMIT - SECONDS)) -ge "$1" ] || { echo "(left out: $((LIMIT - SECONDS)) s left, $1 needed)"; return 1; }; }
py() { local room=$((LIMIT - SECONDS)); timeout $((room > 15 ? room : 15)) "$PYTHON" "$here/gpu_check.py" "$1" "$WORK" "$OUT"; }
am_run() { # suite, folder, further arguments
    local suite=$1 folder=$2 before=$SECONDS; shift 2
    timeout 120 "$AM" run "$suite" --device "$DEVICE" --out "$WORK/$folder" --no-progress --fresh "$@" > "$WORK/last.out" 2>&1
    local code=$?
    echo "run     $(basename "$suite" .toml) -> $folder: exit $code, $((SECONDS - before)) s; $(grep -m1 '^on ' "$WORK/last.out"); $(grep -m2 '^warning' "$WORK/last.out" | tr '\n' ' ' | cut -c1-300)"
    [ $code = 0 ] || grep -v '^$' "$WORK/last.out" | head -12 | cut -c1-300
    return $code
}

part "what is here"
[ "$DEVICE" = cuda ] && nvidia-smi --query-gpu=name,driver_version,memory.total --format=csv,noheader
echo "$(nproc) cores; $(ldd --version 2>&1 | head -1)"
"$PYTHON" -c 'import torch; print("torch", torch.__version__, "cuda", torch.version.cuda, "cudnn", torch.backends.cudnn.version())'
time "$AM" doctor
if [ "$DEVICE" = cuda ] && ! am_run suites/quickstart.toml smoke --limit 1; then
    echo "am-eval does not see the GPU; what the loader says:"
    LD_LIBRARY_PATH=$LIBS ldd "$binary" | grep -E 'torch|c10|cuda|not found'
    LD_DEBUG=libs LD_LIBRARY_PATH=$LIBS "$binary" doctor 2>&1 | grep -i -E 'error|cannot|fatal|libcuda\.so' | head -20
    exit 1
fi

beside=
if [ ! -f "$WORK/prepared" ]; then
    part "data and weights"
    half=$(($(nproc) / 2)); [ "$half" -ge 1 ] || half=1
    # The CPU's quickstart goes on beside what is not timed.
    (OMP_NUM_THREADS=$half timeout 200 "$AM" run suites/quickstart.toml --device cpu --out "$WORK/q-cpu" --no-progress ${few[@]+"${few[@]}"} > "$WORK/q-cpu.out" 2>&1) &
    beside=$!
    py prepare && touch "$WORK/prepared" || exit 1
fi

quiet() { # Before times count.
    [ -n "$beside" ] && { wait "$beside"; echo "the CPU's quickstart ended with $?"; }
    beside=
}

do_parity() { # logits and input gradients against f64
    py parity
    quiet
}

do_speed() { # am-eval's rate of steps
    quiet
    for precision in ${PRECISIONS:-bf16 tf32 f32}; do
        for arch in "${archs[@]}"; do
            left 40 && am_run "$WORK/$arch-$precision-rate.toml" runs
        done
    done
}

do_repeat() { # the same run again, and flips confirmed in PyTorch
    for arch in "${archs[@]}"; do
        for precision in ${PRECISIONS:-bf16 tf32 f32}; do
            for folder in runs again; do left 30 && am_run "$WORK/$arch-$precision-${steps[0]}.toml" $folder --save-adversarial; done
        done
    done
    left 20 && py confirm
}

do_confirm() { # flips confirmed in PyTorch, and every image inside ball and box
    for precision in ${PRECISIONS:-f32}; do
        for arch in "${archs[@]}"; do left 30 && am_run "$WORK/$arch-$precision-${steps[0]}.toml" again --save-adversarial; done
    done
    py confirm
}

do_fails() { # how it fails
    expect() { # exit code, what it is, command
        local want=$1 name=$2; shift 2
        timeout 60 "$@" > "$WORK/fail.out" 2>&1
        local code=$?
        echo "fails   $([ $code = "$want" ] && echo 'as it should' || echo 'OTHERWISE   ') $name: exit $code, $want wanted: $(grep -v '^$' "$WORK/fail.out" | grep -i -E '^ *x |error|panick|memory|driver|warn' | head -2 | tr '\n' ' ' | cut -c1-400)"
    }
    placed=0; [ "$DEVICE" = cuda ] && placed=2
    expect 2 "no such device" "$AM" run "$WORK/$first.toml" --device cuda:7 --out "$WORK/fail"
    expect 2 "no visible device" env CUDA_VISIBLE_DEVICES= "$AM" run "$WORK/$first.toml" --device cuda --out "$WORK/fail"
    [ "$DEVICE" = cuda ] && left 60 && expect 0 "a batch that does not fit" "$AM" run "$WORK/oom.toml" --device cuda --out "$WORK/fail" --no-progress --fresh
    left 15 && expect 0 "TorchScript, run" "$AM" run "$WORK/script-plain.toml" --device "$DEVICE" --out "$WORK/fail" --no-progress
    left 15 && expect $placed "TorchScript, traced with a tensor on the CPU, run" "$AM" run "$WORK/script-placed.toml" --device "$DEVICE" --out "$WORK/fail" --no-progress
    left 15 && expect 0 "TorchScript, predict" "$AM" predict --arch torchscript --weights "$WORK/plain.pt" --mean 0.5,0.5,0.5 --std 0.5,0.5,0.5 --images "$WORK/${archs[0]}/0000.bmp" --out "$WORK/script.csv" --device "$DEVICE"
    sed 's/^name = "res/name = "first-res/; s/^precision = /device = "cpu"\nprecision = /' "$WORK/$first.toml" > "$WORK/cpu-first.toml"
    sed 's/^name = "res/name = "second-res/; s/^precision = /device = "'"$DEVICE"'"\nprecision = /' "$WORK/$first.toml" > "$WORK/device-second.toml"
    left 20 && expect 0 "a suite on the CPU, then one on the device" "$AM" run "$WORK/cpu-first.toml" "$WORK/device-second.toml" --limit 2 --out "$WORK/fail" --no-progress
}

do_bare() { # loops of plain PyTorch
    BARE_S=$((LIMIT - SECONDS - 10)); [ $BARE_S -gt 110 ] && BARE_S=110; export BARE_S
    [ $BARE_S -ge 20 ] && py bare
}

do_layouts() { # the faster layout of several networks
    left 20 && py layouts
}

do_small() { # a small network, bound by launches
    for precision in bf16 f32; do
        for batch in $((cifar / 4)) $((cifar / 2)) "$cifar"; do
            left 20 && am_run "$WORK/resnet20-$precision-$batch.toml" runs
        done
    done
    left 20 && py small
}

do_users() { # as users run it
    [ "$DEVICE" = cuda ] && { nvidia-smi --query-gpu=timestamp,utilization.gpu,power.draw --format=csv,noheader,nounits -lms 250 > "$OUT/utilization.csv" & watcher=$!; }
    for arch in "${archs[@]}"; do
        for name in defaults flip l2; do
            from=$(date '+%Y/%m/%d %H:%M:%S')
            left 40 && am_run "$WORK/$arch-$name.toml" runs
            [ "$DEVICE" = cuda ] && awk -F', ' -v from="$from" '$1 >= from && $2 > 0 { n++; u += $2; p += $3 } END { if (n) printf "        while the GPU worked: kernels ran %.0f %% of the time, %.0f W\n", u / n, p / n }' "$OUT/utilization.csv"
        done
    done
    [ "$DEVICE" = cuda ] && kill "$watcher" 2>/dev/null
}

do_quick() { # the quickstart suite
    left 60 && am_run suites/quickstart.toml q-cuda --save-adversarial ${few[@]+"${few[@]}"} && "$PYTHON" examples/confirm_flips.py "$WORK"/q-cuda/quickstart-* models
    left 40 && am_run suites/quickstart.toml q-cuda-again ${few[@]+"${few[@]}"}
    quiet
    py quick
}

do_sweep() { # smaller batches
    for arch in "${archs[@]}"; do
        for batch in "${batches[@]}"; do left 30 && am_run "$WORK/$arch-batch$batch.toml" runs; done
    done
}

counted() { LD_PRELOAD=$WORK/cuda_count.so timeout 100 "$AM" run "$WORK/$1.toml" --device "$DEVICE" --out "$WORK/counted" --no-progress --fresh 2>&1 | grep -F '[cuda_count]' | tail -1; }
do_calls() { # calls into CUDA for each step
    [ "$DEVICE" = cuda ] || return
    if [ -f "$here/cuda_count.so" ]; then cp "$here/cuda_count.so" "$WORK/"; else cc -O2 -shared -fPIC -o "$WORK/cuda_count.so" "$here/cuda_count.c" -ldl; fi
    for arch in "${archs[@]}"; do
        left 30 || continue
        less=$(counted "$arch-calls-${steps[0]}") more=$(counted "$arch-calls-${steps[1]}")
        "$PYTHON" - "$arch" "$less" "$more" "$((steps[1] - steps[0]))" <<'P'
import re, sys
arch, less, more, steps = sys.argv[1:]
less, more = (dict((k, float(v)) for k, v in re.findall(r"(\w+)=([\d.]+)", text)) for text in (less, more))
print(f"calls   {arch} bf16: each step " + ", ".join(f"{k} {(more[k] - less[k]) / int(steps):.4g}" for k in less))
P
    done
}

do_networks() { # parity of other networks, layer by layer
    [ "$DEVICE" = cuda ] || return
    for arch in torchvision/swin_t torchvision/convnext_tiny timm/deit_tiny_distilled_patch16_224 torchvision/densenet121 torchvision/mobilenet_v2 torchvision/vgg11_bn; do
        left 25 && timeout 40 "$PYTHON" examples/check_parity.py --am-eval "$AM" --device cuda --images 2 --layers 6 "$arch" 2>/dev/null | sed -n 2p
    done
}

for name in $PARTS; do
    part "$name"
    "do_$name"
done

part "summary"
[ -f "$WORK/q-cpu.out" ] && case " $PARTS " in *" quick "*) ;; *" repeat "*) py quick ;; esac
py table
sleep 1
grep -E '^(parity|confirm|quick|repeat|calls|fails|layouts|small|[0-9]+ flips) ' "$OUT/log.txt"
