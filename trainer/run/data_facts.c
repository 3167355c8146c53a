/* data_facts.c — the counts of a token set as text and JSON. */
#include "trainer/run/data_facts.h"
#include "trainer/run/progress.h"

typedef json_int_t Int;

void data_size_text(const TokenSet *ts, Text *out)
{
    char tokens[16];
    text_printf(out, "%s tokens in %lld %s, %lld rows",
                progress_count((double)token_set_n_token(ts), tokens), LL(token_set_n_doc(ts)),
                token_set_is_samples(ts) ? "samples" : "documents", LL(token_set_n_row(ts)));
}

static double percent(int64_t part, int64_t whole)
{
    return whole > 0 ? 100.0 * (double)part / (double)whole : 0.0;
}

void data_counts_text(const TokenSet *ts, Text *out)
{
    const TokenCounts *c = token_set_counts(ts);
    text_printf(out, "SHA-256 %.12s; learned %lld tokens (%.0f %%)", token_set_fingerprint(ts),
                LL(c->n_learned), percent(c->n_learned, c->n_used));
    if (c->n_dropped > 0) text_printf(out, "; %lld behind the last full row", LL(c->n_dropped));
    if (c->n_cut > 0)
        text_printf(out, "; %lld cut off of %lld %s", LL(c->n_truncated), LL(c->n_cut),
                    token_set_is_samples(ts) ? "samples" : "documents");
    if (c->n_left > 0) text_printf(out, "; %lld samples left out", LL(c->n_left));
    if (c->n_shared > 0)
        text_printf(out, "; %lld more share the beginning of another sample", LL(c->n_shared));
    if (c->n_fill > 0)
        text_printf(out, "; rows are filled to %.0f %%", percent(c->n_used, c->n_used + c->n_fill));
    if (c->n_empty > 0) text_printf(out, "; %lld empty texts", LL(c->n_empty));
}

json_t *data_facts_json(const TokenSet *ts)
{
    const TokenCounts *c = token_set_counts(ts);
    return json_pack("{s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:s}", "name",
                     token_set_name(ts), "tokens", (Int)token_set_n_token(ts), "documents",
                     (Int)token_set_n_doc(ts), "rows", (Int)token_set_n_row(ts), "learned_tokens",
                     (Int)c->n_learned, "dropped_tokens", (Int)c->n_dropped, "shared_tokens",
                     (Int)c->n_shared, "truncated_tokens", (Int)c->n_truncated,
                     "truncated_documents", (Int)c->n_cut, "left_out_samples", (Int)c->n_left,
                     "empty_texts", (Int)c->n_empty, "fingerprint", token_set_fingerprint(ts));
}
