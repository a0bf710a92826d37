#include "fatal.h"

#include <stdlib.h>
#include <string.h>

#include "os.h"

const char where_free[] = "free()";
const char where_realloc[] = "realloc()";
const char where_usable_size[] = "malloc_usable_size()";

void message_bytes(struct message *message, const char *text, size_t length)
{
    /* One byte is kept for the end of the line. */
    size_t room = sizeof message->text - 1 - message->length;
    length = min_size(length, room);
    memcpy(message->text + message->length, text, length);
    message->length += length;
}

void message_text(struct message *message, const char *text)
{
    message_bytes(message, text, strlen(text));
}

void message_start(struct message *message)
{
    message->length = 0;
}

static void message_digits(struct message *message, size_t number,
                           unsigned base)
{
    char digits[20];
    size_t at = sizeof digits;
    do {
        digits[--at] = "0123456789abcdef"[number % base];
        number /= base;
    } while (number != 0);
    message_bytes(message, digits + at, sizeof digits - at);
}

void message_number(struct message *message, size_t number)
{
    message_digits(message, number, 10);
}

void message_hex(struct message *message, size_t number)
{
    message_text(message, "0x");
    message_digits(message, number, 16);
}

void message_write(struct message *message)
{
    message->text[message->length++] = '\n';
    os_write_error(message->text, message->length);
}

void fatal_say(const struct crime *crime)
{
    struct message message;
    message_start(&message);
    message_text(&message, "ptm: ");
    message_text(&message, crime->where);
    message_text(&message, ": ");
    message_text(&message, crime->what);
    message_text(&message, ": address ");
    message_hex(&message, (size_t)crime->address);
    if (crime->has_word) {
        message_text(&message, ", word ");
        message_hex(&message, crime->word);
    }
    if (crime->size != 0) {
        message_text(&message, ", size ");
        message_number(&message, crime->size);
    }
    if (crime->arena != 0) {
        message_text(&message, ", arena ");
        message_number(&message, crime->arena);
    }
    message_write(&message);
}

void fatal_crime(const struct crime *crime)
{
    fatal_say(crime);
    abort();
}

void assertion_failed(const char *condition, const char *file, int line)
{
    struct message message;
    message_start(&message);
    message_text(&message, "ptm: assertion failed: ");
    message_text(&message, condition);
    message_text(&message, " at ");
    message_text(&message, file);
    message_text(&message, ":");
    message_number(&message, (size_t)line);
    message_write(&message);
    abort();
}
