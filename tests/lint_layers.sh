#!/bin/sh
# Reads the #include lines against the table of rooms: who may include whom. Also: file names are unique, no file
# is longer than 800 lines, MPI has one home.
set -u
cd "$(dirname "$0")/.." || exit 1
bad=0
complain() { echo "$1"; bad=1; }

# room: the rooms it may include besides itself ("*": all; "trainer/models/hook.h": that one file)
rules='trainer/base:
trainer/tensor:trainer/base
trainer/io:trainer/base trainer/tensor
schedules:trainer/base
optim:trainer/base trainer/tensor
data:trainer/base trainer/tensor trainer/io
checkpoints:trainer/base trainer/tensor trainer/io
trainer/models:trainer/base trainer/tensor trainer/io
trainer/methods:trainer/base trainer/tensor trainer/io trainer/models/hook.h
trainer/run:*
trainer:*
scripts:trainer/base trainer/tensor trainer/io
tests:*
bench:*'

room_of() { # the longest room that is a prefix of the path
    case "$1" in
    trainer/base/*) echo trainer/base ;; trainer/tensor/*) echo trainer/tensor ;; trainer/io/*) echo trainer/io ;;
    trainer/models/*) echo trainer/models ;; trainer/methods/*) echo trainer/methods ;; trainer/run/*) echo trainer/run ;;
    */*) echo "${1%%/*}" ;;
    *) echo . ;;
    esac
}

files=$(find trainer optim schedules data checkpoints scripts tests bench -name '*.[ch]' | sort)
[ -n "$files" ] || complain "no source file found"
for f in $files; do
    room=$(room_of "$f")
    allowed=$(printf '%s\n' "$rules" | sed -n "s|^$room:||p")
    for inc in $(sed -n 's/^#include "\(.*\)"/\1/p' "$f"); do
        [ -f "$inc" ] || { complain "$f includes \"$inc\", which is no path from the root"; continue; }
        target=$(room_of "$inc")
        [ "$target" = "$room" ] || [ "$allowed" = '*' ] && continue
        case " $allowed " in *" $target "* | *" $inc "*) ;; *) complain "$f ($room) may not include $inc ($target)" ;; esac
    done
    lines=$(wc -l <"$f")
    [ "$lines" -le 800 ] || complain "$f has $lines lines: it probably holds two things"
done
for f in $(grep -l '#include <mpi.h>' $files); do
    case "$f" in trainer/base/*) ;; *) complain "$f includes mpi.h: trainer/base is the only home of MPI" ;; esac
done
for f in $(grep -lE '(^|[^_a-z])(exit|abort|MPI_Abort)\(|#include <assert.h>' $files); do
    case "$f" in trainer/base/* | tests/* | bench/*) ;; *) complain "$f ends the program by itself: use Status" ;; esac
done
for n in $(printf '%s\n' $files | sed 's|.*/||' | sort | uniq -d); do complain "the file name $n is used twice"; done
n=$(wc -l <trainer/run/train.c 2>/dev/null || echo 0)
[ "$n" -le 300 ] || complain "trainer/run/train.c has $n lines: the story of a run stays below 300"
exit $bad
