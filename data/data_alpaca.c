/* data_alpaca.c — instruction, input and output in the prompt of Stanford Alpaca (github.com/
 * tatsu-lab/stanford_alpaca, PROMPT_DICT), with a line end behind "### Response:" as axolotl and
 * LLaMA-Factory write it; the output is learned. */
#include "data/prompt_source.h"

static const char WITH_INPUT[] =
    "Below is an instruction that describes a task, paired with an input that provides further "
    "context. Write a response that appropriately completes the request.\n\n### Instruction:\n";
static const char WITHOUT_INPUT[] =
    "Below is an instruction that describes a task. Write a response "
    "that appropriately completes the request.\n\n"
    "### Instruction:\n";
static const char INPUT[] = "\n\n### Input:\n", RESPONSE[] = "\n\n### Response:\n";

static bool is_empty(const json_t *value)
{
    return !value || json_is_null(value) ||
           (json_is_string(value) && json_string_length(value) == 0) ||
           (json_is_array(value) && json_array_size(value) == 0);
}

/* Keys of its relatives that would change the prompt. */
static Status refuse_more(PromptSource *s, const json_t *object)
{
    Status rc = ST_OK;
    static const char *const MORE[] = {"system", "history"};
    for (int64_t i = 0; i < N_OF(MORE); i++)
        CHECK(is_empty(json_object_get(object, MORE[i])), FORMAT,
              "%s: \"%s\" has no place in the prompt of type: alpaca; use type: messages",
              json_items_place(s->items), MORE[i]);
out:
    return rc;
}

static Status add_prompt(PromptSource *s, const json_t *object)
{
    Status rc = ST_OK;
    const char *instruction, *input = "";
    int64_t n_instruction, n_input = 0;
    TRY(json_items_text(s->items, object, "", "instruction", &instruction, &n_instruction));
    if (!is_empty(json_object_get(object, "input")))
        TRY(json_items_text(s->items, object, "", "input", &input, &n_input));
    TRY(refuse_more(s, object));
    TRY(n_input > 0 ? buffer_add(&s->text, WITH_INPUT, sizeof WITH_INPUT - 1)
                    : buffer_add(&s->text, WITHOUT_INPUT, sizeof WITHOUT_INPUT - 1));
    TRY(buffer_add(&s->text, instruction, (size_t)n_instruction));
    if (n_input > 0) {
        TRY(buffer_add(&s->text, INPUT, sizeof INPUT - 1));
        TRY(buffer_add(&s->text, input, (size_t)n_input));
    }
    TRY(buffer_add(&s->text, RESPONSE, sizeof RESPONSE - 1));
out:
    return rc;
}

static Status alpaca_open(const DatasetOpts *o, const PackOpts *p, const Tokenizer *tok,
                          void **self)
{
    Status rc = ST_OK;
    PromptSource *s = NULL;
    (void)tok;
    TRY(prompt_source_open(o, p, &s));
    s->completion_field = "output";
    s->add_prompt = add_prompt;
out:
    *self = s;
    return rc;
}

static Status alpaca_add_key(const DatasetOpts *o, const PackOpts *p, const Tokenizer *tok,
                             Sha256 *key)
{
    (void)o;
    (void)tok;
    sha256_add(key, &p->train_on_inputs, sizeof p->train_on_inputs);
    return ST_OK;
}

const DatasetDef data_alpaca = {.name = "alpaca",
                                .open = alpaca_open,
                                .next = prompt_source_next,
                                .close = prompt_source_close,
                                .add_key = alpaca_add_key,
                                .is_samples = true};
