/* byte_level.c — printable Latin-1 stands for itself; the other bytes, in order, for U+0100 and up.
 * Source: bytes_to_unicode of GPT-2. */
#include "data/byte_level.h"
#include "data/unicode.h"

enum { N_LETTER = 0x144 };

static bool is_itself(int c)
{
    return (c >= '!' && c <= '~') || (c >= 0xa1 && c <= 0xac) || c >= 0xae;
}

/* Bytes below `byte` that stand for something else. */
static int n_moved(int byte)
{
    return byte <= '!' ? byte : byte <= '~' ? '!' : byte < 0xa1 ? byte - ('~' - '!' + 1) : 0x43;
}

int64_t byte_level_encode(const char *bytes, int64_t n, char *text)
{
    int64_t n_text = 0;
    for (int64_t i = 0; i < n; i++) {
        const int b = (unsigned char)bytes[i];
        n_text += utf8_write(is_itself(b) ? b : 0x100 + n_moved(b), text + n_text);
    }
    return n_text;
}

static int byte_of(int32_t c)
{
    if (c < 0x100) return is_itself(c) ? c : -1;
    if (c >= N_LETTER) return -1;
    const int moved = c - 0x100;
    if (moved < '!') return moved;
    return moved < 0x43 ? moved + ('~' - '!' + 1) : 0xad;
}

int64_t byte_level_decode(const char *text, int64_t n, char *bytes)
{
    int64_t n_bytes = 0;
    for (int64_t at = 0; at < n;) {
        int32_t c;
        at += utf8_read(text + at, &c);
        const int b = byte_of(c);
        if (b < 0) return -1;
        bytes[n_bytes++] = (char)b;
    }
    return n_bytes;
}
