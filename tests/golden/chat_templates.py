#!/usr/bin/env python3
"""Writes chat_templates.json: what jinja2, set up as transformers does it, makes of the published templates in
chat_templates/*.jinja and of many small ones, and what of it a model should learn. Needs transformers and jinja2."""
import json
import pathlib
from transformers.utils import chat_template_utils as hf

HERE = pathlib.Path(__file__).parent
NOW = 1722000000  # 26 Jul 2024, 13:20 UTC: what strftime_now sees

CHAT = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": "What is \"pi\"?"},
    {"role": "assistant", "content": "  3.14159 \u2014 about. "},
    {"role": "user", "content": " And e?\n"},
    {"role": "assistant", "content": "\u4e8c\u70b9\u4e03\u4e00\u516b"},
]
EMPTY = [{"role": "user", "content": "Say nothing."}, {"role": "assistant", "content": ""}]
BLANK = [{"role": "user", "content": "Say nothing."}, {"role": "assistant", "content": " \n "}]
THOUGHT = [
    {"role": "user", "content": "1+1?"},
    {"role": "assistant", "content": "<think>\nOne and one.\n</think>\n\n2"},
    {"role": "user", "content": "2+2?"},
    {"role": "assistant", "content": "4", "reasoning_content": "Two and two."},
]
TOOLS = [{"type": "function", "function": {"name": "weather", "description": "Weather at a place", "parameters": {
    "type": "object", "properties": {"place": {"type": "string"}, "days": {"type": "integer", "default": 1.5}}, "required": ["place"]}}}]
CALL = [
    {"role": "user", "content": "Weather in K\u00f6ln?"},
    {"role": "assistant", "content": "", "tool_calls": [{"id": "abcdef123", "type": "function", "function": {
        "name": "weather", "arguments": {"place": "K\u00f6ln", "days": 2}}}]},
    {"role": "tool", "content": "{\"sun\": true}", "tool_call_id": "abcdef123"},
    {"role": "assistant", "content": "Sun."},
]
SEARCH = [CALL[0], {"role": "assistant", "tool_calls": [{"function": {"name": "search", "arguments": {"query": "K\u00f6ln", "n": "2"}}}]}]
CONVERSATIONS = {"chat": CHAT, "no_system": CHAT[1:], "empty": EMPTY, "blank": BLANK, "thought": THOUGHT, "call": CALL, "search": SEARCH}

SPECIAL = {  # bos_token, eos_token
    "chatml": ("", "<|im_end|>"), "gemma": ("<bos>", "<eos>"), "llama2": ("<s>", "</s>"), "llama3": ("<|begin_of_text|>", "<|eot_id|>"),
    "llama3_generation": ("<|begin_of_text|>", "<|eot_id|>"), "llama3.1": ("<|begin_of_text|>", "<|eot_id|>"),
    "llama3.2": ("<|begin_of_text|>", "<|eot_id|>"), "mistral": ("<s>", "</s>"), "mistral_v0.3": ("<s>", "</s>"),
    "mistral_nemo": ("<s>", "</s>"), "phi3": ("<s>", "<|endoftext|>"), "qwen2": (None, "<|im_end|>"), "qwen2.5": (None, "<|im_end|>"),
    "qwen2.5_generation": (None, "<|im_end|>"), "qwen3": (None, "<|im_end|>"), "smollm2": ("<|im_start|>", "<|im_end|>"),
    "zephyr": ("<s>", "</s>"),
}
# What an assistant's message has to look like to the one who learns it: content to text, end of turn.
plain, trimmed = (lambda s: s), (lambda s: s.strip())
LEARNED = {
    "chatml": (plain, "<|im_end|>"), "gemma": (trimmed, "<end_of_turn>"), "llama2": (trimmed, " </s>"), "llama3": (trimmed, "<|eot_id|>"),
    "llama3.1": (trimmed, "<|eot_id|>"), "llama3.2": (trimmed, "<|eot_id|>"), "mistral": (plain, "</s>"), "mistral_v0.3": (trimmed, "</s>"),
    "mistral_nemo": (plain, "</s>"), "phi3": (plain, "<|end|>"), "qwen2": (plain, "<|im_end|>"), "qwen2.5": (plain, "<|im_end|>"),
    "smollm2": (plain, "<|im_end|>"), "zephyr": (plain, "</s>"),
}
CALLED = {  # the tool call of CALL
    "qwen2.5": "<tool_call>\n{\"name\": \"weather\", \"arguments\": {\"place\": \"K\u00f6ln\", \"days\": 2}}\n</tool_call><|im_end|>",
    "qwen3": "<tool_call>\n{\"name\": \"weather\", \"arguments\": {\"place\": \"K\u00f6ln\", \"days\": 2}}\n</tool_call><|im_end|>",
    "llama3.1": "{\"name\": \"weather\", \"parameters\": {\"place\": \"K\u00f6ln\", \"days\": 2}}<|eot_id|>",
    "llama3.2": "{\"name\": \"weather\", \"parameters\": {\"place\": \"K\u00f6ln\", \"days\": 2}}<|eot_id|>",
    # no generation prompt to begin behind, so from the first byte of the call's own text
    "mistral_v0.3": "weather\", \"arguments\": {\"place\": \"K\u00f6ln\", \"days\": 2}, \"id\": \"abcdef123\"}]</s>",
    "mistral_nemo": "weather\", \"arguments\": {\"place\": \"K\u00f6ln\", \"days\": 2}, \"id\": \"abcdef123\"}]</s>",
}


def think(thought, answer):
    return f"<think>\n{thought}\n</think>\n\n{answer}<|im_end|>"


QWEN3 = {
    ("chat", None): ["  3.14159 \u2014 about. <|im_end|>", think("", CHAT[4]["content"])],
    ("no_system", None): ["  3.14159 \u2014 about. <|im_end|>", think("", CHAT[4]["content"])],
    ("chat", False): ["  3.14159 \u2014 about. <|im_end|>", CHAT[4]["content"] + "<|im_end|>"],
    ("empty", None): [think("", "")],
    ("blank", None): [think("", BLANK[1]["content"])],
    ("thought", None): ["2<|im_end|>", think("Two and two.", "4")],
    ("call", None): [CALLED["qwen3"], think("", "Sun.")],
}


def learned(name, which, variables):
    """Of each assistant's message, or None where transformers' own marks rule."""
    if name.endswith("_generation"):
        return None
    if name == "qwen3":
        return QWEN3[which, variables.get("enable_thinking")]
    text, end = LEARNED[name]
    said = [text(m["content"]) + end for m in CONVERSATIONS[which] if m["role"] == "assistant"]
    if which == "call":
        said[0] = CALLED[name]
    return said


def compiled(source):
    template = hf._compile_jinja_template(source)
    import datetime
    template.environment.globals["strftime_now"] = lambda f: datetime.datetime.fromtimestamp(NOW, datetime.timezone.utc).strftime(f)
    template = template.environment.from_string(source)
    return template


def render(source, messages, variables, add_generation_prompt=False):
    template = compiled(source)
    args = {"messages": messages, "tools": None, "documents": None, "add_generation_prompt": add_generation_prompt, **variables}
    return hf._render_with_assistant_indices(template, args.pop("messages"), args.pop("tools"), args.pop("documents"),
                                             args.pop("add_generation_prompt"), **args)


def case(name, which, variables=None, prompt=False):
    source = (HERE / "chat_templates" / f"{name}.jinja").read_text()
    variables = variables or {}
    tokens = {k: v for k, v in zip(("bos_token", "eos_token"), SPECIAL[name]) if v is not None}
    out = {"template": name, "conversation": which, "vars": variables, **tokens, "add_generation_prompt": prompt}
    try:
        out["text"], marks = render(source, CONVERSATIONS[which], {**tokens, **variables}, prompt)
    except Exception as e:  # raise_exception of the template
        out["error"] = str(e)
        return out
    if not prompt:
        out["learned"] = learned(name, which, variables)
        if out["learned"] is None:
            out["learned"] = [out["text"][a:b] for a, b in marks]
    return out


def cases():
    for name in SPECIAL:
        for which in ("chat", "no_system", "empty", "blank"):
            yield case(name, which)
        yield case(name, "no_system", prompt=True)
    for name in CALLED:
        yield case(name, "call", {"tools": TOOLS})
    yield case("qwen2.5_generation", "call", {"tools": TOOLS})
    yield case("qwen3", "thought")
    yield case("qwen3", "chat", {"enable_thinking": False})
    yield case("qwen3", "chat", {"enable_thinking": False}, prompt=True)
    yield case("llama3.1", "call", {"tools": TOOLS, "tools_in_user_message": False}, prompt=True)
    yield case("llama3.1", "search", {"builtin_tools": ["search", "code_interpreter"]}, prompt=True)


MESSAGES = CHAT[:3]
VARS = {"n": 3, "x": 2.5, "s": "Hello w\u00f6rld", "blank": "", "zero": 0, "yes": True, "no": False, "nothing": None,
        "list": [3, 1, 2], "words": ["a", "b"], "d": {"a": 1, "b": {"c": [1, 2]}, "items": "member"},
        "people": [{"name": "Ann", "age": 3, "x": {"y": 1}}, {"name": "Bob", "age": 1}, {"name": "Cy", "age": 2, "x": {"y": 2}}]}

CONSTRUCTS = r"""
plain text
{{ s }}|{{ n }}|{{ x }}|{{ yes }}|{{ no }}|{{ nothing }}|{{ missing }}|{{ blank }}
{{ 1 }}{{ 1.0 }}{{ 1e3 }}{{ 1e16 }}{{ 1.5e-7 }}{{ 0.1 }}{{ 123456789.125 }}{{ 1e22 }}{{ 100.0 }}
{{ "a" "b" 'c' }}{{ 'it\'s' }}{{ "\x41\u00e9\n\t\\\101\q" }}
{{ true }}{{ True }}{{ false }}{{ False }}{{ none }}{{ None }}
{{ [1, 'a', None, True, 2.0, [], {}, {'k': "it's"}, "q\"'\n", (1,), (1, 2), ()] }}
{{ ['\u00e9', '\u200b', '\x07', '\u4e2d', '\ufeff'] }}
{{ {'a': 1, 2: 'b', none: x} }}
{{ n + 1 }}{{ n - 5 }}{{ n * 2 }}{{ n / 2 }}{{ 7 // 2 }}{{ -7 // 2 }}{{ 7 % 3 }}{{ -7 % 3 }}{{ 7.5 // 2 }}{{ -7.5 % 2 }}{{ 2 + x }}{{ 6 / 3 }}
{{ -n }}{{ +n }}{{ - -n }}{{ -x }}{{ 1 - -1 }}
{{ 'a' + 'b' }}{{ 'a' ~ 1 ~ none ~ x ~ missing }}{{ [1] + [2, 3] }}{{ 'ab' * 3 }}{{ 2 * 'ab' }}{{ 'ab' * 0 }}
{{ 1 + 2 * 3 - 4 / 2 }}{{ (1 + 2) * 3 }}{{ 'a' ~ 1 + 'b' }}{{ 2 * 3 ~ 4 }}
{{ 1 < 2 }}{{ 1 < 2 < 3 }}{{ 1 < 3 < 2 }}{{ 2 >= 2 }}{{ 1 != 1.0 }}{{ true == 1 }}{{ 'a' < 'b' }}{{ 'a' == 1 }}{{ none == none }}{{ [1, [2]] == [1, [2]] }}
{{ {'a': 1} == {'a': 1.0} }}{{ missing == missing }}{{ missing == none }}{{ (1,) == [1] }}{{ 'b' > 'ab' }}{{ 2 <= 1 }}
{{ 'ell' in s }}{{ 'x' not in s }}{{ 1 in list }}{{ 4 not in list }}{{ 'a' in d }}{{ 'z' in missing }}{{ '' in s }}
{{ yes and 'y' }}{{ no and 'y' }}{{ no or 'z' }}{{ blank or missing or 0 or 'last' }}{{ not yes }}{{ not not yes }}{{ not no and yes }}
{{ 'a' if yes else 'b' }}{{ 'a' if no else 'b' }}{{ 'a' if no }}|{{ 'a' if no else 'b' if no else 'c' }}
{{ s[0] }}{{ s[-1] }}{{ s[7] }}{{ s[99] }}{{ s[1:3] }}{{ s[:-1] }}{{ s[::-1] }}{{ s[-3:] }}{{ s[8:2:-2] }}{{ s[5:2] }}{{ s[-99:99] }}
{{ list[0] }}{{ list[-1] }}{{ list[9] }}{{ list[1:] }}{{ list[:2] }}{{ list[::-1] }}{{ list[::2] }}{{ list[none:none] }}{{ list[9:] }}{{ (1, 2)[:1] }}
{{ d.a }}{{ d['a'] }}{{ d.b.c[1] }}{{ d['items'] }}{{ d.zzz }}{{ d['zzz'] }}{{ none.foo }}{{ s.foo }}{{ d.get('a') }}{{ d.get('q') }}{{ d.get('q', 7) }}
{{ d.keys() | list }}{{ d.values() | list }}{{ d.items() | list }}{{ {'z': 1}.items() | list }}
{{ s.upper() }}{{ s.lower() }}{{ 'hello wORLD they\'re x1y'.title() }}{{ 'hELLO'.capitalize() }}{{ '\u0416\u0436'.lower() }}
{{ '  a b  '.strip() }}|{{ '  a '.lstrip() }}|{{ ' a  '.rstrip() }}|{{ 'xxaxx'.strip('x') }}|{{ 'abcba'.lstrip('ab') }}|{{ '\u3000\u00a0a\u2003'.strip() }}|
{{ 'a,b,,c'.split(',') }}{{ ' a  b '.split() }}{{ 'a,b,c'.split(',', 1) }}{{ ' a b  c '.split(none, 1) }}{{ ''.split() }}{{ ''.split(',') }}{{ 'aXXb'.split('XX')[-1] }}
{{ 'abc'.startswith('ab') }}{{ 'abc'.endswith('bc') }}{{ 'abc'.startswith('b') }}{{ 'abc'.startswith(('x', 'a')) }}{{ 'a'.endswith('abc') }}
{{ 'aXbXc'.replace('X', '--') }}{{ 'aaa'.replace('a', 'b', 2) }}{{ 'ab'.replace('', '-') }}
{{ '  a ' | trim }}|{{ 'xax' | trim('x') }}|{{ n | trim }}|{{ missing | trim }}|
{{ s | length }}{{ list | length }}{{ d | count }}{{ missing | length }}{{ '' | length }}
{{ s | upper }}{{ s | lower }}{{ "foo-bar they're (baz" | title }}{{ s | capitalize }}{{ n | upper }}
{{ list | first }}{{ list | last }}{{ [] | first }}{{ 'abc' | first }}{{ 'abc' | last }}{{ d | first }}
{{ list | join }}{{ list | join(', ') }}{{ words | join('-') }}{{ people | join(',', attribute='name') }}{{ 'abc' | join('.') }}{{ [none, true, 1.5] | join('|') }}
{{ 'abc' | list }}{{ d | list }}{{ missing | list }}
{{ missing | default('dd') }}{{ blank | default('dd') }}{{ blank | default('dd', true) }}{{ no | d('x', boolean=true) }}{{ n | default(4) }}{{ missing | default }}|
{{ d | tojson }}{{ [] | tojson }}{{ {} | tojson }}{{ "q\"\\\n\t\u00e9<>&'/\x7f\x01" | tojson }}{{ [1.0, 1e20, none, true] | tojson }}{{ x | tojson }}
{{ d | tojson(indent=2) }}{{ [] | tojson(indent=4) }}{{ {'a': [], 'b': {}} | tojson(indent=1) }}{{ [1, 2] | tojson(indent=0) }}
{{ '\u00e9\U0001F600' | tojson(ensure_ascii=true) }}{{ {'b': 1, 'a': 2} | tojson(sort_keys=true) }}{{ {1: 2, none: 3, true: 4} | tojson }}
{{ people | selectattr('age', 'gt', 1) | map(attribute='name') | list }}{{ people | rejectattr('age', 'equalto', 1) | list | length }}
{{ people | selectattr('x') | map(attribute='x.y') | join(',') }}{{ people | selectattr('x', 'defined') | list | length }}{{ people | map(attribute='zz', default='-') | join }}
{{ list | select('odd') | list }}{{ list | reject('equalto', 1) | list }}{{ [0, 1, '', 'a'] | select | list }}{{ [0, 1] | reject | list }}{{ words | map('upper') | join }}
{{ list | select('in', [1, 2]) | list }}{{ list | reject('==', 1) | list }}{{ [1, 'a'] | select('string') | list }}
{{ 'a1' | string }}{{ 1 | string }}{{ [1] | string }}{{ '12' | int }}{{ 'x' | int }}{{ 'x' | int(7) }}{{ 2.9 | int }}{{ -2.9 | int }}{{ '3.7' | int }}{{ ' 4 ' | int }}
{{ '2.5' | float }}{{ 3 | float }}{{ 'q' | float }}{{ 'q' | float(1.5) }}{{ true | int }}
{{ s | safe }}{{ s | replace('l', 'L') }}{{ s | replace('l', 'L', 1) }}{{ d | items | list }}{{ missing | items | list }}{{ 'abc' | reverse }}{{ list | reverse | list }}
{{ n is defined }}{{ missing is defined }}{{ missing is undefined }}{{ nothing is none }}{{ n is none }}{{ n is not none }}{{ missing is not defined }}{{ d.q is defined }}
{{ s is string }}{{ n is string }}{{ d is mapping }}{{ list is mapping }}{{ s is iterable }}{{ n is iterable }}{{ missing is iterable }}{{ list is sequence }}{{ s is sequence }}{{ n is sequence }}
{{ n is number }}{{ x is number }}{{ yes is number }}{{ s is number }}{{ n is integer }}{{ yes is integer }}{{ x is float }}{{ yes is boolean }}{{ yes is true }}{{ no is false }}{{ 1 is true }}
{{ n is odd }}{{ n is even }}{{ n is divisibleby 3 }}{{ n is divisibleby(2) }}{{ n is equalto 3 }}{{ n is eq(4) }}{{ n is ne 4 }}{{ n is in list }}{{ n is gt 2 }}{{ n is lt 2 }}{{ n is ge 3 }}{{ n is le 3 }}
{{ not n is defined }}{{ not missing is defined and yes }}{{ n is defined and n is odd }}{{ 1 if n is odd else 2 }}{{ range is callable }}{{ n is callable }}{{ missing is callable }}{{ zero | select | list }}
{{ range(3) | list }}{{ range(1, 7, 2) | list }}{{ range(3, 0, -1) | list }}{{ range(0) | list }}{{ dict(a=1, b='c') }}
{% if yes %}a{% endif %}{% if no %}b{% else %}c{% endif %}{% if no %}d{% elif yes %}e{% else %}f{% endif %}{% if no %}{% elif no %}{% endif %}
{% for i in list %}{{ i }}{% endfor %}{% for i in [] %}x{% else %}none{% endfor %}{% for c in 'h\u00e9' %}[{{ c }}]{% endfor %}{% for k in d %}{{ k }}{% endfor %}
{% for i in list %}{{ loop.index }}{{ loop.index0 }}{{ loop.revindex }}{{ loop.revindex0 }}{{ loop.first }}{{ loop.last }}{{ loop.length }}{{ loop.previtem }}{{ loop.nextitem }};{% endfor %}
{% for i in list if i > 1 %}{{ loop.index }}{{ i }}{% endfor %}{% for i in list if i > 9 %}x{% else %}no{% endfor %}{% for i in missing %}x{% endfor %}
{% for k, v in d.items() %}{{ k }}={{ v }};{% endfor %}{% for (a, b) in [(1, 2), [3, 4]] %}{{ a }}{{ b }}{% endfor %}{% for p in people %}{{ p.name }}{% endfor %}
{% for i in list %}{% for j in words %}{{ loop.index }}{{ j }}{% endfor %}{{ loop.index }}{% endfor %}
{% for i in range(9) %}{% if i == 2 %}{% continue %}{% endif %}{% if i == 5 %}{% break %}{% endif %}{{ i }}{% endfor %}{% for i in list %}{% break %}{% else %}x{% endfor %}
{% set a = 1 %}{{ a }}{% set a = a + 1 %}{{ a }}{% set b, c = 1, 2 %}{{ b }}{{ c }}{% set t = 1, 2 %}{{ t }}{% set t = (1,) %}{{ t }}
{% set a = 0 %}{% for i in list %}{% set a = a + i %}{{ a }}{% endfor %}{{ a }}{% if yes %}{% set a = 9 %}{% endif %}{{ a }}
{% set ns = namespace(k=1) %}{% for i in list %}{% set ns.k = ns.k + i %}{% set ns.new = i %}{% endfor %}{{ ns.k }}{{ ns.new }}{{ ns.none }}
{% set text %}a{{ n }}{% for i in list %}{{ i }}{% endfor %}{% endset %}[{{ text }}]{{ text | length }}
{% macro m(a, b=2, c='z') %}{{ a }}{{ b }}{{ c }}{% endmacro %}{{ m(1) }}{{ m(1, 3) }}{{ m(1, c='q') }}{{ m() }}{{ m(b=5, a=4) | length }}
{% macro down(k) %}{{ k }}{% if k > 0 %}{{ down(k - 1) }}{% endif %}{% endmacro %}{{ down(3) }}{% macro see() %}{{ n }}{{ q }}{% endmacro %}{% set q = 1 %}{% for n in [7] %}{{ see() }}{% endfor %}
a{# comment #}b{#- c -#} d {#{% if %}{{ #}e
{% generation %}g{{ messages[2].content }}{% endgeneration %}
a {%- if yes %} b {%- endif %} c{{- 1 -}} d {{+ 2 }} {%+ if yes %}x{%+ endif +%}
{{ strftime_now('%d %b %Y') }}{{ strftime_now is defined }}{{ strftime_now('%Y-%m-%d %H:%M') }}{{ raise_exception is defined }}
{{ {'a': {'b': 1}} }}{{ {'a': {'b': {'c': 2}}}.a.b.c }}{{ [[1, 2], [3]][0][1] }}{{ ({'k': 'v'})['k'] }}
{{ messages | length }}{{ messages[0].role }}{{ messages[-1]['content'] }}{{ messages[0] == messages[0] }}{{ messages[1:] | length }}{{ messages[0]['role'] in ['system'] }}
{{ add_generation_prompt }}{{ tools }}{{ documents is none }}{{ bos_token is defined }}
{{ s[0:3] ~ s[3:] == s }}{{ s.split(' ')[1][0] | upper }}{{ (list | length - 1) }}{{ list | length - 1 }}{{ -1 | string }}
{{ people | map(attribute='name') | map('lower') | list | tojson }}{{ (people | selectattr('age', 'lt', 3) | list)[0].name }}
"""

BLOCKS = [  # several lines each
    "{% if yes %}\n  a\n{% endif %}\n  b\n",
    "  {% if yes %}  \n  a\n  {% endif %}\nc  {% if no %}x{% endif %}  \n\n",
    "  {# c #}\n a {# d #} \n{#- e -#}\n f",
    "a\n{% for i in list %}\n  {{ i }}\n{%- endfor %}\nz",
    "a\n\n  {%- if yes -%}\n\n  b  \n {%- endif -%} \n c",
    "{{ n }}\n{{ n }}\n\n",
    "a\r\nb\rc\r\n",
    "  {%+ if yes %}x{% endif +%}\ny",
    "{% set x %}\n  line\n{% endset %}\n[{{ x }}]",
    "{{\n  n\n  +\n  1\n}}{{ {\n 'a': 1 }['a'] }}",
    "x\u3000{%- if yes %}y{% endif -%}\u00a0\u3000z",
    "{{ 'a\nb' }}",
    "\t {% if yes %}\t\n\tq{% endif %}\n",
    "{% for i in list %}{{ i }}\n{% endfor %}\n{% if yes %}\n{% if yes %}\n  in\n{% endif %}\n{% endif %}\nend",
]

ERRORS = r"""
{{ missing + 'a' }}
{{ missing.foo }}
{{ missing['foo'] }}
{{ missing() }}
{{ 'a' + 1 }}
{{ 1 + none }}
{{ 1 / 0 }}
{{ 1 % 0 }}
{{ 1 < 'a' }}
{{ none < 1 }}
{{ 1 in 'abc' }}
{{ 'a' in none }}
{{ missing in 'abc' }}
{{ n | length }}
{{ missing | tojson }}
{{ 'a'.split('') }}
{{ [1][0:1:0] }}
{{ {[]: 1} }}
{% for i in 5 %}{% endfor %}
{% for i in none %}{% endfor %}
{% for a, b in [1] %}{% endfor %}
{% for a, b in [(1, 2, 3)] %}{% endfor %}
{% set missing.x = 1 %}
{% set d.x = 1 %}
{{ raise_exception('stop here') }}
{{ range(1000000) }}
{{ range(0, 3, 0) }}
{{ nosuch(1) }}
{{ s.nosuch() }}
{{ list.append(1) }}
{{ s | nosuch }}
{{ s is nosuch }}
{{ 'a' | items }}
{{ n | first }}
{% macro m(a) %}{% endmacro %}{{ m(1, 2) }}
{% macro m(a) %}{% endmacro %}{{ m(b=2) }}
{% if yes %}
{% for i in list %}
{% endif %}
{% nosuch %}
{% break %}
{{ n
{% if n
{# comment
{{ 'a }}
{{ n }
{{ }}
{{ 1 + }}
{{ (1 }}
{{ 1) }}
{{ [1 }}
{{ {'a' 1} }}
{{ a b }}
{{ d. }}
{{ n is }}
{{ n | }}
{{ 1 2 }}
{{ $ }}
{% set = 1 %}
{% set a %}
{% for in list %}{% endfor %}
{% for i of list %}{% endfor %}
{% macro (a) %}{% endmacro %}
{% if %}{% endif %}
{% else %}
{{ n is divisibleby 0 }}
{{ list[none] }}
{{ d | replace('a') }}
"""


def construct(source):
    try:
        return {"source": source, "text": render(source, MESSAGES, VARS)[0]}
    except Exception as e:
        return {"source": source, "error": f"{type(e).__name__}: {e}"}


def main():
    sources = CONSTRUCTS.strip("\n").split("\n")
    made = [construct(s) for s in sources + BLOCKS]
    refused = [construct(s) for s in ERRORS.strip("\n").split("\n")]
    assert all("text" in c for c in made), [c for c in made if "text" not in c]
    for c in refused:
        if "text" in c:
            print("jinja2 takes:", c)
    out = {"now": NOW, "conversations": CONVERSATIONS, "cases": list(cases()),
           "messages": MESSAGES, "vars": VARS, "constructs": made, "refused": [c["source"] for c in refused if "error" in c]}
    (HERE / "chat_templates.json").write_text(json.dumps(out, indent=0, ensure_ascii=False) + "\n")


main()
