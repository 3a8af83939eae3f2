/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Comparing two sealed frames of statistics.  Implemented in stats_rates.c. */

/*
 * For each row of a table of `now`, find the row of `before` that is the same thing, or -1.  Domains are matched by
 * UUID and id.  Items are matched by the text in their key column if both have one (column ids, -1 for none), else by
 * their numbers.  Return 0 or PV_NO_MEMORY.
 */
int pv_frame_match(pv_frame *now, int table, int key, pv_frame *before, int table_before, int key_before,
                   int64_t *match);

/*
 * Compute the growth of a counter per second, from the times at which the records of that domain came.  Rows without a
 * rate (no match, no value, or the counter went back) stay 0 in `rates` and in the bitmap `valid`.  Return the number
 * of rows with a rate.
 */
int64_t pv_frame_rate(const pv_frame *now, int column, const pv_frame *before, int column_before,
                      const int64_t *match, double *rates, uint8_t *valid);
