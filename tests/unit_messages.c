/* unit_messages.c — conversations as samples: templates, roles, and what a file may say. */
#include "tests/data_fixture.h"
#include "trainer/base/log.h"

#define TURN(role, text) "<|im_start|>" role "\n" text "<|im_end|>\n"
#define ANSWER(text) "<|im_start|>assistant\n[" text "<|im_end|>]\n"

static PackOpts chatml(int64_t T)
{
    PackOpts p = pack(T);
    p.chat_template = "chatml";
    return p;
}

static const char CONVERSATION[] =
    "{\"messages\": [{\"role\": \"system\", \"content\": \"S\"}, {\"role\": \"user\", \"content\": "
    "\"1?\"}, {\"role\": \"assistant\", \"content\": \"one\"}, {\"role\": \"user\", \"content\": "
    "\"2?\"}, {\"content\": \"two\", \"role\": \"assistant\", \"weight\": 1}], \"id\": 3}\n";

START_TEST(answers_are_learned_with_their_end)
{
    char text[1024];
    PackOpts p = chatml(64);
    const DatasetOpts d = samples("messages", write_text("m.jsonl", CONVERSATION));
    T_OK(show_samples(&d, &p, text, sizeof text));
    T_EQ_STR(text, TURN("system", "S") TURN("user", "1?") ANSWER("one") TURN("user", "2?")
                       ANSWER("two") "|");
    p.roles_to_train = "user\nsystem";
    T_OK(show_samples(&d, &p, text, sizeof text));
    T_HAS(text, "user\n[2?<|im_end|>]\n<|im_start|>assistant\ntwo<|im_end|>\n|");
    T_HAS(text, "system\n[S<|im_end|>]\n");
    p.train_on_inputs = true;
    T_OK(show_samples(&d, &p, text, sizeof text));
    T_EQ_STR(text, "[" TURN("system", "S") TURN("user", "1?") TURN("assistant", "one")
                       TURN("user", "2?") TURN("assistant", "two") "]|");
}
END_TEST

START_TEST(sharegpt_is_turned_into_messages)
{
    char text[1024];
    const PackOpts p = chatml(64);
    const DatasetOpts d = samples(
        "messages",
        write_text("s.json",
                   "[{\"conversations\": [{\"from\": \"system\", \"value\": \"S\"}, {\"from\": "
                   "\"human\", \"value\": \"q\"}, {\"from\": \"gpt\", \"value\": \"a\"}]},\n"
                   "{\"conversations\": [{\"from\": \"human\", \"value\": \"r\"}, {\"from\": "
                   "\"gpt\", \"value\": \"\"}, {\"from\": \"observation\", \"value\": \"o\"}]}]"));
    T_OK(show_samples(&d, &p, text, sizeof text));
    T_EQ_STR(text, TURN("system", "S") TURN("user", "q") ANSWER("a") "|" TURN("user", "r")
                       ANSWER("") TURN("tool", "o") "|");
}
END_TEST

START_TEST(a_template_may_be_a_file)
{
    char text[256];
    PackOpts p = pack(64);
    DatasetOpts d =
        samples("messages", write_text("f.jsonl", "{\"messages\": [{\"role\": \"user\", "
                                                  "\"content\": \"q\"}, {\"role\": "
                                                  "\"assistant\", \"content\": \"a\"}]}"));
    p.chat_template = write_text(
        "own.jinja",
        "{% for m in messages %}{{ m.role[0] }}:{{ m.content }}{{ eos_token }};{% endfor %}");
    T_OK(show_samples(&d, &p, text, sizeof text));
    T_EQ_STR(text, "u:q;a:[a;]|");
    p.chat_template = write_text(
        "strict.jinja", "{% if messages[0].role != 'system' %}{{ raise_exception('system first') }}"
                        "{% endif %}");
    T_FAILS(show_samples(&d, &p, text, sizeof text), FORMAT, "f.jsonl:1: ");
    T_FAILS(show_samples(&d, &p, text, sizeof text), FORMAT, "system first");
    p.chat_template = write_text("broken.jinja", "{% for %}");
    T_FAILS(show_samples(&d, &p, text, sizeof text), FORMAT, "broken.jinja");
    p.chat_template = "no_such";
    T_FAILS(show_samples(&d, &p, text, sizeof text), CONFIG, "no_such");
    p.chat_template = "tokenizer_default"; /* "bytes" has none */
    T_FAILS(show_samples(&d, &p, text, sizeof text), CONFIG, "tokenizer_default");
}
END_TEST

START_TEST(the_tokenizers_own_template_is_used)
{
    char text[256];
    const PackOpts p = pack(64);
    Tokenizer *tok = tiny_tokenizer(
                  "{{ bos_token }}{% for m in messages %}{{ m.content }}"
                  "{% if m.role == 'assistant' %}{{ eos_token }}{% endif %}:{% endfor %}"),
              *other = tiny_tokenizer("{% for m in messages %}{{ m.content }}{% endfor %}");
    const DatasetOpts d =
        samples("messages", write_text("t.jsonl", "{\"messages\": [{\"role\": \"user\", "
                                                  "\"content\": \"ca\"}, {\"role\": "
                                                  "\"assistant\", \"content\": \"bc\"}]}"));
    T_OK(show_with(tok, &d, &p, text, sizeof text));
    T_EQ_STR(text, "<s> c a : [b c <e> :]|"); /* nothing is added to what the template wrote */
    T_OK(show_with(other, &d, &p, text, sizeof text));
    T_EQ_STR(text, "c [ab c]|");
    ShardLease lease; /* folders that differ in their template alone */
    T_OK(shard_cache_acquire(&d, &p, tok, false, &lease));
    shard_cache_release(&lease);
    T_OK(shard_cache_acquire(&d, &p, other, false, &lease));
    T_TRUE(lease.built);
    shard_cache_release(&lease);
    tokenizer_close(tok);
    tokenizer_close(other);
}
END_TEST

START_TEST(bad_conversations_name_their_place)
{
    static const struct {
        const char *content, *message;
    } BAD[] = {
        {"{\"message\": []}", "bad.jsonl:1: key \"messages\" is missing"},
        {"{\"text\": \"a\"}", "key \"messages\" is missing; its keys are those of type: jsonl"},
        {"{\"messages\": \"hi\"}", "\"messages\" is a string, not an array"},
        {"{\"messages\": []}", "bad.jsonl:1: \"messages\" has no message"},
        {"{\"messages\": [7]}", "bad.jsonl:1: message 1: is a number, not an object"},
        {"{\"messages\": [{\"content\": \"a\"}]}", "message 1: key \"role\" is missing"},
        {"{\"messages\": [{\"role\": \"user\", \"content\": \"a\"}, {\"role\": \"assistent\", "
         "\"content\": "
         "\"a\"}]}",
         "bad.jsonl:1: message 2: role \"assistent\" is unknown: system, developer, user, "
         "assistant or "
         "tool"},
        {"{\"messages\": [{\"role\": \"user\"}]}", "message 1: key \"content\" is missing"},
        {"{\"messages\": [{\"role\": \"user\", \"content\": null}]}",
         "\"content\" is null, not a string"},
        {"{\"messages\": [{\"role\": \"user\", \"content\": [{\"type\": \"text\", \"text\": "
         "\"a\"}]}]}",
         "\"content\" is an array, not a string"},
        {"{\"messages\": [{\"role\": \"user\", \"content\": \"a\", \"tool_calls\": []}]",
         "bad.jsonl:1: bad JSON"},
        {"{\"conversations\": [{\"from\": \"you\", \"value\": \"a\"}]}",
         "message 1: from \"you\" is unknown"},
        {"{\"conversations\": [{\"from\": \"gpt\", \"value\": 1}]}", "\"value\" is a number"},
    };
    const PackOpts p = chatml(64);
    for (int64_t i = 0; i < N_OF(BAD); i++) {
        Shard *shard;
        const DatasetOpts d = samples("messages", write_text("bad.jsonl", BAD[i].content));
        const int64_t live = mem_live();
        T_FAILS(shard_build(&d, &p, bytes, &shard), FORMAT, BAD[i].message);
        T_EQ_I64(mem_live(), live);
    }
}
END_TEST

START_TEST(a_conversation_without_an_answer_is_named)
{
    TokenSet *ts;
    char content[1024];
    snprintf(content, sizeof content,
             "%s{\"messages\": [{\"role\": \"user\", \"content\": \"?\"}]}\n", CONVERSATION);
    const DatasetOpts d = samples("messages", write_text("mute.jsonl", content));
    PackOpts p = chatml(512);
    T_FAILS(token_set_open(comm_self(), &d, &p, bytes, SPLIT_TRAIN, &ts), DATA,
            "mute.jsonl: sample 2: none of its 29 tokens is to be learned");
    p.on_empty_sample = "drop";
    T_OK(token_set_open(comm_self(), &d, &p, bytes, SPLIT_TRAIN, &ts));
    T_EQ_I64(token_set_counts(ts)->n_left, 1);
    T_EQ_I64(token_set_counts(ts)->n_learned, 2 * (int64_t)strlen("one<|im_end|>"));
    token_set_close(ts);
}
END_TEST

START_TEST(the_cache_knows_template_and_roles)
{
    PackOpts p = chatml(64);
    const DatasetOpts d = samples("messages", write_text("k.jsonl", CONVERSATION));
    const char *own = write_text("k.jinja", "{% for m in messages %}{{ m.content }}{% endfor %}");
    static const bool IS_NEW[] = {true, false, true, true, true, true};
    for (int64_t k = 0; k < N_OF(IS_NEW); k++) {
        ShardLease lease;
        p.chat_template = k < 4 ? "chatml" : own;
        p.roles_to_train = k == 2 ? "user" : "assistant";
        p.train_on_inputs = k == 3;
        if (k == 5) write_text("k.jinja", "{% for m in messages %}{{ m.content }};{% endfor %}");
        T_OK(shard_cache_acquire(&d, &p, bytes, false, &lease));
        T_TRUE(lease.built == IS_NEW[k]);
        shard_cache_release(&lease);
    }
}
END_TEST

START_TEST(failures_leave_nothing_behind)
{
    const DatasetOpts d = samples("messages", write_text("x.jsonl", CONVERSATION));
    for (int n = 1, hit = 1; hit; n++) {
        PackOpts p = chatml(512);
        Shard *shard = NULL;
        const int64_t live = mem_live();
        fault_arm(n, false);
        const Status rc = shard_build(&d, &p, bytes, &shard);
        hit = fault_disarm();
        T_TRUE(hit == (rc != ST_OK));
        status_clear();
        shard_destroy(shard);
        T_EQ_I64(mem_live(), live);
    }
}
END_TEST

START_TEST(real_dialogues_are_read_whole)
{
    const char *path = test_shared_data("instruct/mllm_demo.json");
    if (!path) T_SKIP("the dialogues are not there");
    const DatasetOpts d = samples("messages", path);
    const PackOpts p = chatml(2048);
    TokenSet *ts;
    T_OK(token_set_open(comm_self(), &d, &p, bytes, SPLIT_TRAIN, &ts));
    T_EQ_I64(token_set_n_doc(ts), 6);
    T_TRUE(token_set_counts(ts)->n_learned > 6 * (int64_t)strlen("<|im_end|>"));
    token_set_close(ts);
}
END_TEST

int main(void)
{
    log_set_level(LOG_ERROR);
    if (tokenizer_open("bytes", &bytes) != ST_OK) return EXIT_FAILURE;
    const TTest *t[] = {answers_are_learned_with_their_end,
                        sharegpt_is_turned_into_messages,
                        a_template_may_be_a_file,
                        bad_conversations_name_their_place,
                        the_tokenizers_own_template_is_used,
                        a_conversation_without_an_answer_is_named,
                        the_cache_knows_template_and_roles,
                        failures_leave_nothing_behind,
                        real_dialogues_are_read_whole};
    const int code = test_main("unit.messages", t, N_OF(t));
    tokenizer_close(bytes);
    return code;
}
