/* chat_template.h — a conversation as the text a model was tuned on, and which bytes of that text it
 * should learn: chat templates in the part of Jinja that published models use. */
#ifndef DATA_CHAT_TEMPLATE_H
#define DATA_CHAT_TEMPLATE_H
#include "trainer/base/status.h"
#include <jansson.h>

/* A parsed template. Read-only once made, so threads may share it. */
typedef struct ChatTemplate ChatTemplate;

/* Parses n bytes of template text; `name` stands in messages ("NAME:LINE: ...").
 *
 * Rank    local
 * Errors  ST_FORMAT  not UTF-8, too long, nested too deep, wrong syntax, or a construct, filter or test
 *                    outside the subset: named, with its line and what is known
 * Owns    keeps copies of both texts
 * Source  docs/chat-templates.md */
CHECKED Status chat_template_parse(const char *name, const char *source, size_t n,
                                   ChatTemplate **t);

/* The template a configuration's `chat_template` names:
 *   tokenizer_default   that of tokenizer_dir: chat_template.jinja, or "chat_template" in
 *                       tokenizer_config.json (a text, or a list of {name, template}: "default")
 *   NAME                a built-in one (chat_template_builtin_names)
 *   FILE.jinja          a file
 *
 * Rank    local
 * Errors  ST_DATA    the file or the folder's template is missing or unreadable
 *         ST_FORMAT  as chat_template_parse; tokenizer_config.json is malformed
 *         ST_CONFIG  no built-in template has this name, or tokenizer_default without a folder
 * Owns    tokenizer_dir may be NULL */
CHECKED Status chat_template_open(const char *choice, const char *tokenizer_dir, ChatTemplate **t);
void chat_template_destroy(ChatTemplate *t); /* accepts NULL */

const char *chat_template_name(const ChatTemplate *t);
const char *chat_template_source(const ChatTemplate *t); /* as given, for hashing and export */
const char *chat_template_builtin_names(void);           /* "chatml, gemma, ..." */

/* bos_token and eos_token of tokenizer_config.json, each a text or {"content": text}; NULL when the
 * folder has none.
 * Errors  ST_FORMAT  the file is malformed
 * Owns    the texts are the caller's (mem_free) */
CHECKED Status chat_tokens_read(const char *tokenizer_dir, char **bos_token, char **eos_token);

typedef struct ChatInput {
    const json_t *messages;            /* array of objects {role, content, ...} */
    const json_t *vars;                /* NULL, or an object: tools, enable_thinking, ... */
    const char *bos_token, *eos_token; /* NULL: undefined in the template */
    bool add_generation_prompt;
    int64_t now; /* what strftime_now sees, seconds since 1970 as UTC. Keep it fixed over a run. */
} ChatInput;

/* What message i became, in bytes of the text: [begin, end). A message that left no trace has {0}.
 *
 * turn     What the pass of the template's loop over the messages wrote when it came to message i
 *          (or the outermost pass of any loop, where it wrote content of message i alone). Without
 *          such a pass: from the first to the last byte that came from the message.
 * learned  What the model has to say when the message is its own. It ends where the turn ends
 *          without the white space at its end: the end-of-turn token is learned, the newline behind
 *          it is not. It begins
 *            - behind the generation prompt, where the turn begins with it (the generation prompt is
 *              what add_generation_prompt appends): the header is not learned, all the model has to
 *              say after it is;
 *            - else at the first byte that came from the message's content (or reasoning_content,
 *              reasoning, thinking, tool_calls), also when that is empty.
 *          {% generation %} ... {% endgeneration %} in a template rules instead: learned is what the
 *          block wrote, to the byte, and nothing where the turn has no block. */
typedef struct ChatSpan {
    int64_t turn_begin, turn_end;
    int64_t learn_begin, learn_end;
} ChatSpan;

typedef struct ChatText { /* {0} is an empty one */
    char *text;           /* UTF-8, NUL-terminated; may hold NULs of the messages before that */
    int64_t n;
    ChatSpan *span; /* one a message; NULL with add_generation_prompt */
    int64_t n_span;
} ChatText;

/* The text holds its special tokens (bos_token too): tokenize it without adding any.
 *
 * Rank    local
 * Errors  ST_DATA    the template called raise_exception: its text, behind NAME:LINE
 *         ST_FORMAT  the template does what jinja2 refuses or the subset lacks, or ran out of steps,
 *                    memory or output; messages that are no array of objects
 * Owns    *out is the caller's (chat_text_fini), {0} after a failure */
CHECKED Status chat_template_render(const ChatTemplate *t, const ChatInput *in, ChatText *out);
void chat_text_fini(ChatText *out);
#endif
