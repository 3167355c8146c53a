# needle.awk — texts of `tokens` bytes in which one of 16 capitals stands three times among the first 30, in noise; the last
# byte asks for it.   awk -v n=COUNT -v tokens=160 -v seed=1 -v form=samples|questions -f bench/needle.awk
function draw(k) { # Park & Miller 1988: the same numbers in every awk
    state = (state * 16807) % 2147483647
    return int(state / 2147483647 * k)
}
BEGIN {
    noise = "abcdefghijklmnopqrstuvwxyz0123456789+-*/"
    capitals = "ABCDEFGHIJKLMNOP"
    state = seed * 7919 + 12345
    for (i = 0; i < 10; i++) draw(2)
    while (n-- > 0) {
        answer = substr(capitals, draw(16) + 1, 1)
        split("", needle)
        for (k = 0; k < 3;) {
            at = draw(29)
            if (!(at in needle)) { needle[at] = 1; k++ }
        }
        text = ""
        for (i = 0; i < tokens - 5; i++) text = text (i in needle ? answer : substr(noise, draw(40) + 1, 1))
        # a question is put behind a line end, and the answer ends with a full stop and the end of the document
        if (form == "samples")
            printf "{\"prompt\": \"\\n%s?\", \"completion\": \"%s.\"}\n", text, answer
        else
            printf "{\"question\": \"%s?\", \"answer\": \"%s.\", \"group\": \"new\", \"held_out\": true, \"statements\": [3]}\n", text, answer
    }
}
