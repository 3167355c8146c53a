/* chat_template_open.c — where a template comes from: a tokenizer's folder, a file, or this file. */
#include "data/chat_template.h"
#include "data/chat_template_syntax.h"
#include "trainer/base/mem.h"
#include "trainer/io/files.h"
#include "trainer/io/json_file.h"
#include <string.h>

enum { CONFIG_MAX_BYTES = 1 << 25 };

/* The published texts, for base models that come without one. */
static const struct {
    const char *name, *source;
} BUILTIN[] = {
    {"chatml", "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' + "
               "message['content'] + "
               "'<|im_end|>' + '\n' }}{% endfor %}{% if add_generation_prompt %}{{ "
               "'<|im_start|>assistant\n' }}{% endif %}"},
    {"gemma", "{{ bos_token }}{% if messages[0]['role'] == 'system' %}{{ raise_exception('System "
              "role not supported') }}{% endif %}"
              "{% for message in messages %}{% if (message['role'] == 'user') != (loop.index0 % 2 "
              "== 0) %}{{ raise_exception("
              "'Conversation roles must alternate user/assistant/user/assistant/...') }}{% endif "
              "%}{% if (message['role'] == "
              "'assistant') %}{% set role = 'model' %}{% else %}{% set role = message['role'] %}{% "
              "endif %}{{ '<start_of_turn>' + "
              "role + '\n' + message['content'] | trim + '<end_of_turn>\n' }}{% endfor %}{% if "
              "add_generation_prompt %}{{"
              "'<start_of_turn>model\n'}}{% endif %}"},
    {"llama2", "{% if messages[0]['role'] == 'system' %}{% set loop_messages = messages[1:] %}{% "
               "set system_message = "
               "messages[0]['content'] %}{% else %}{% set loop_messages = messages %}{% set "
               "system_message = false %}{% endif %}"
               "{% for message in loop_messages %}{% if (message['role'] == 'user') != "
               "(loop.index0 % 2 == 0) %}{{ raise_exception("
               "'Conversation roles must alternate user/assistant/user/assistant/...') }}{% endif "
               "%}{% if loop.index0 == 0 and "
               "system_message != false %}{% set content = '<<SYS>>\\n' + system_message + "
               "'\\n<</SYS>>\\n\\n' + message['content'] %}"
               "{% else %}{% set content = message['content'] %}{% endif %}{% if message['role'] "
               "== 'user' %}{{ bos_token + '[INST] ' "
               "+ content.strip() + ' [/INST]' }}{% elif message['role'] == 'assistant' %}{{ ' '  "
               "+ content.strip() + ' ' + eos_token }}"
               "{% endif %}{% endfor %}"},
    {"llama3", "{% set loop_messages = messages %}{% for message in loop_messages %}{% set content "
               "= '<|start_header_id|>' + "
               "message['role'] + '<|end_header_id|>\n\n'+ message['content'] | trim + "
               "'<|eot_id|>' %}{% if loop.index0 == 0 %}"
               "{% set content = bos_token + content %}{% endif %}{{ content }}{% endfor %}{% if "
               "add_generation_prompt %}{{ "
               "'<|start_header_id|>assistant<|end_header_id|>\n\n' }}{% endif %}"},
    {"mistral", "{%- if messages[0]['role'] == 'system' %}\n    {%- set system_message = "
                "messages[0]['content'] %}\n    {%- set "
                "loop_messages = messages[1:] %}\n{%- else %}\n    {%- set loop_messages = "
                "messages %}\n{%- endif %}\n\n{{- bos_token }}\n"
                "{%- for message in loop_messages %}\n    {%- if (message['role'] == 'user') != "
                "(loop.index0 % 2 == 0) %}\n        {{- "
                "raise_exception('After the optional system message, conversation roles must "
                "alternate user/assistant/user/assistant/..."
                "') }}\n    {%- endif %}\n    {%- if message['role'] == 'user' %}\n        {%- if "
                "loop.first and system_message is "
                "defined %}\n            {{- ' [INST] ' + system_message + '\\n\\n' + "
                "message['content'] + ' [/INST]' }}\n        {%- "
                "else %}\n            {{- ' [INST] ' + message['content'] + ' [/INST]' }}\n        "
                "{%- endif %}\n    {%- elif "
                "message['role'] == 'assistant' %}\n        {{- ' ' + message['content'] + "
                "eos_token}}\n    {%- else %}\n        {{- "
                "raise_exception('Only user and assistant roles are supported, with the exception "
                "of an initial optional system "
                "message!') }}\n    {%- endif %}\n{%- endfor %}\n"},
    {"phi3",
     "{% for message in messages %}{% if message['role'] == 'system' %}{{'<|system|>\n' + "
     "message['content'] + "
     "'<|end|>\n'}}{% elif message['role'] == 'user' %}{{'<|user|>\n' + message['content'] + "
     "'<|end|>\n'}}{% elif "
     "message['role'] == 'assistant' %}{{'<|assistant|>\n' + message['content'] + '<|end|>\n'}}{% "
     "endif %}{% endfor %}"
     "{% if add_generation_prompt %}{{ '<|assistant|>\n' }}{% else %}{{ eos_token }}{% endif %}"},
    {"zephyr", "{% for message in messages %}\n{% if message['role'] == 'user' %}\n{{ '<|user|>\n' "
               "+ message['content'] + eos_token }}\n"
               "{% elif message['role'] == 'system' %}\n{{ '<|system|>\n' + message['content'] + "
               "eos_token }}\n{% elif message['role'] "
               "== 'assistant' %}\n{{ '<|assistant|>\n'  + message['content'] + eos_token }}\n{% "
               "endif %}\n{% if loop.last and "
               "add_generation_prompt %}\n{{ '<|assistant|>' }}\n{% endif %}\n{% endfor %}"},
};

const char *chat_template_builtin_names(void)
{
    return "chatml, gemma, llama2, llama3, mistral, phi3, zephyr";
}

/* The folder's tokenizer_config.json, NULL where there is none. */
static Status open_config(const char *dir, JsonDoc **config)
{
    Status rc = ST_OK;
    char *path = path_join(dir, "tokenizer_config.json");
    *config = NULL;
    CHECK(path, NOMEM, "%s: no memory for a path", dir);
    if (path_exists(path)) TRY(json_doc_open(path, CONFIG_MAX_BYTES, config));
out:
    mem_free(path);
    return rc;
}

static Status open_file(const char *path, ChatTemplate **t)
{
    Status rc = ST_OK;
    char *text = NULL;
    size_t n;
    TRY(file_read_all(path, SOURCE_MAX_BYTES, &text, &n));
    TRY(chat_template_parse(path, text, n, t));
out:
    mem_free(text);
    return rc;
}

/* "chat_template" is a text, or a list of {name, template} with one named "default". */
static Status find_text(JsonAt at, const char **text)
{
    Status rc = ST_OK;
    if (!json_is_array(at.value)) {
        TRY(json_text(at, text));
        goto out;
    }
    for (int64_t i = 0; i < json_count(at); i++) {
        const JsonAt entry = json_item(&at, i);
        const char *name;
        TRY(json_text(json_key(&entry, "name"), &name));
        if (strcmp(name, "default") != 0) continue;
        TRY(json_text(json_key(&entry, "template"), text));
        goto out;
    }
    TRY(json_refuse(at, "a template named \"default\""));
out:
    return rc;
}

static Status open_tokenizer(const char *dir, ChatTemplate **t)
{
    Status rc = ST_OK;
    JsonDoc *config = NULL;
    const char *text;
    char *path = path_join(dir, "chat_template.jinja"), *name = NULL;
    CHECK(path, NOMEM, "%s: no memory for a path", dir);
    if (path_exists(path)) {
        TRY(open_file(path, t));
        goto out;
    }
    TRY(open_config(dir, &config));
    const JsonAt top = config ? json_doc_top(config) : (JsonAt){0};
    CHECK(config && json_has(&top, "chat_template"), DATA,
          "%s: the tokenizer has no chat template (no chat_template.jinja, and no "
          "\"chat_template\" in "
          "tokenizer_config.json); built in are %s",
          dir, chat_template_builtin_names());
    TRY(find_text(json_key(&top, "chat_template"), &text));
    name = mem_printf("%s/tokenizer_config.json: chat_template", dir);
    CHECK(name, NOMEM, "%s: no memory for a path", dir);
    TRY(chat_template_parse(name, text, strlen(text), t));
out:
    json_doc_close(config);
    mem_free(path);
    mem_free(name);
    return rc;
}

Status chat_template_open(const char *choice, const char *tokenizer_dir, ChatTemplate **t)
{
    Status rc = ST_OK;
    const char *suffix = strrchr(choice, '.');
    if (strcmp(choice, "tokenizer_default") == 0) {
        CHECK(tokenizer_dir, CONFIG,
              "chat_template: tokenizer_default, but the tokenizer has no folder; built in are %s",
              chat_template_builtin_names());
        TRY(open_tokenizer(tokenizer_dir, t));
        goto out;
    }
    if (suffix && strcmp(suffix, ".jinja") == 0) {
        TRY(open_file(choice, t));
        goto out;
    }
    for (int64_t i = 0; i < N_OF(BUILTIN); i++)
        if (strcmp(choice, BUILTIN[i].name) == 0) {
            TRY(chat_template_parse(choice, BUILTIN[i].source, strlen(BUILTIN[i].source), t));
            goto out;
        }
    CHECK(
        false, CONFIG,
        "chat_template: \"%s\" is not known; known: tokenizer_default, a FILE.jinja, or one of %s",
        choice, chat_template_builtin_names());
out:
    return rc;
}

/* A text, or {"content": text}. */
static Status token_text(const JsonAt *config, const char *key, char **text)
{
    Status rc = ST_OK;
    const JsonAt token = json_key(config, key);
    const char *content;
    *text = NULL;
    if (!json_is_there(token)) goto out;
    TRY(json_text(json_is_object(token.value) ? json_key(&token, "content") : token, &content));
    *text = mem_strdup(content);
    CHECK(*text, NOMEM, "no memory for \"%s\"", key);
out:
    return rc;
}

Status chat_tokens_read(const char *tokenizer_dir, char **bos_token, char **eos_token)
{
    Status rc = ST_OK;
    JsonDoc *config = NULL;
    char *bos = NULL, *eos = NULL;
    *bos_token = *eos_token = NULL;
    TRY(open_config(tokenizer_dir, &config));
    if (!config) goto out;
    const JsonAt top = json_doc_top(config);
    TRY(token_text(&top, "bos_token", &bos));
    TRY(token_text(&top, "eos_token", &eos));
    *bos_token = bos;
    *eos_token = eos;
    bos = NULL;
out:
    mem_free(bos);
    json_doc_close(config);
    return rc;
}
