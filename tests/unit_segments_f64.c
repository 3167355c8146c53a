/* unit_segments_f64.c — the same tests with real = double, where the bound shows a wrong formula. */
#include "tests/unit_segments.c"
