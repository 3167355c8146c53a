/* fuzz_chat_template.c — any bytes as a chat template: parsed, and run over a short conversation. */
#include "data/chat_template.h"
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void expect_spans_in_order(const ChatText *out)
{
    for (int64_t i = 0; i < out->n_span; i++) {
        const ChatSpan *s = &out->span[i];
        const bool ordered = 0 <= s->turn_begin && s->turn_begin <= s->turn_end &&
                             s->turn_end <= out->n && 0 <= s->learn_begin &&
                             s->learn_begin <= s->learn_end && s->learn_end <= out->n;
        if (!ordered) abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    static json_t *messages, *vars;
    if (!messages) {
        messages =
            json_pack("[{s:s,s:s},{s:s,s:s},{s:s,s:s,s:[{s:{s:s,s:{s:i,s:f,s:n}}}]}]", "role",
                      "system", "content", "Be brief.", "role", "user", "content",
                      " \xC3\xA9 'x' \"y\"\n", "role", "assistant", "content", "", "tool_calls",
                      "function", "name", "f", "arguments", "n", 1, "x", 0.5, "z");
        vars = json_pack("{s:[{s:s}],s:b}", "tools", "name", "f", "enable_thinking", 0);
    }
    ChatTemplate *t = NULL;
    if (!messages || !vars) return 0;
    if (chat_template_parse("t", (const char *)data, n, &t) == ST_OK)
        for (int prompt = 0; prompt < 2; prompt++) { /* to learn from; to be answered, with tools */
            ChatText out;
            const ChatInput in = {.messages = messages,
                                  .vars = prompt ? vars : NULL,
                                  .bos_token = "<s>",
                                  .add_generation_prompt = prompt};
            status_clear();
            if (chat_template_render(t, &in, &out) == ST_OK) expect_spans_in_order(&out);
            chat_text_fini(&out);
        }
    status_clear();
    chat_template_destroy(t);
    return 0;
}
