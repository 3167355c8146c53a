/* plot.h — a gnuplot script in, an SVG element for an HTML page out. */
#ifndef TRAINER_RUN_PLOT_H
#define TRAINER_RUN_PLOT_H
#include "trainer/run/text.h"

/* Runs gnuplot (no shell, no user settings) on `script`, which must not set terminal or output, and
 * adds the picture to `svg`. `name` makes the ids of its elements unique in the page: letters only.
 *
 * Units   width and height in CSS pixels at full size
 * Errors  ST_DATA gnuplot is not installed; ST_BUG it refused the script (its message is given);
 * ST_IO, ST_NOMEM */
CHECKED Status plot_svg(const char *name, const char *script, int width, int height, Text *svg);
#endif
