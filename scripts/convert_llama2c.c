/* convert_llama2c.c — convert_llama2c MODEL.bin TOKENIZER.bin DIR */
#include "scripts/llama2c.h"
#include <stdio.h>

int main(int argc, char **argv)
{
    Status rc = ST_OK;
    CHECK(argc == 4, USAGE, "convert_llama2c MODEL.bin TOKENIZER.bin DIR");
    TRY(llama2c_convert(argv[1], argv[2], argv[3]));
out:
    if (rc != ST_OK) fprintf(stderr, "convert_llama2c: %s\n", status_message());
    return status_exit_code(rc);
}
