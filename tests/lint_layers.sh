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


files=$(find trainer optim schedules data checkpoints scripts tests bench -name '*.[ch]' | sort)
[ -n "$files" ] || complain "no source file found"
# shellcheck disable=SC2086  # words
found=$(awk -v rules="$rules" '
    function room_of(path) { # the longest room that is a prefix of the path
        if (match(path, "^trainer/(base|tensor|io|models|methods|run)/")) return substr(path, 1, RLENGTH - 1)
        return path ~ "/" ? substr(path, 1, index(path, "/") - 1) : "."
    }
    BEGIN {
        n = split(rules, line, "\n")
        for (i = 1; i <= n; i++) { at = index(line[i], ":"); allowed[substr(line[i], 1, at - 1)] = " " substr(line[i], at + 1) " " }
        for (i = 1; i < ARGC; i++) { is_file[ARGV[i]] = 1; if (name_seen[last(ARGV[i])]++ == 1) print "the file name " last(ARGV[i]) " is used twice" }
    }
    function last(path) { sub(".*/", "", path); return path }
    FNR == 1 { end_file(); file = FILENAME; room = room_of(file) }
    function end_file() { if (lines > 800) print file " has " lines " lines: it probably holds two things" }
    { lines = FNR }
    /^#include "/ {
        split($0, part, "\"")
        target = room_of(part[2])
        if (!is_file[part[2]]) print file " includes \"" part[2] "\", which is no path from the root"
        else if (target != room && allowed[room] != " * " && !index(allowed[room], " " target " ") && !index(allowed[room], " " part[2] " "))
            print file " (" room ") may not include " part[2] " (" target ")"
    }
    /#include <mpi.h>/ && room != "trainer/base" { print file " includes mpi.h: trainer/base is the only home of MPI" }
    (/(^|[^_a-z])(exit|abort|MPI_Abort)\(/ || /#include <assert.h>/) && room !~ "^(trainer/base|tests|bench)$" {
        print file ":" FNR " ends the program by itself: use Status"
    }
    END { end_file() }' $files) || bad=1
[ -z "$found" ] || complain "$found"
n=$(wc -l <trainer/run/train.c 2>/dev/null || echo 0)
[ "$n" -le 300 ] || complain "trainer/run/train.c has $n lines: the story of a run stays below 300"
exit $bad
