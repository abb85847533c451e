/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The part of the C library that we and the compiler call. The prototypes come from the build
 * host's headers.
 */
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

void *memcpy(void *restrict to, const void *restrict from, size_t size)
{
    void *begin = to;
    size_t words = size / 8;

    __asm__ volatile("rep movsq" : "+D"(to), "+S"(from), "+c"(words) : : "memory");
    size %= 8;
    __asm__ volatile("rep movsb" : "+D"(to), "+S"(from), "+c"(size) : : "memory");
    return begin;
}

void *memset(void *to, int value, size_t size)
{
    void *begin = to;

    __asm__ volatile("rep stosb" : "+D"(to), "+c"(size) : "a"(value) : "memory");
    return begin;
}

size_t strlen(const char *text)
{
    const char *end = text;

    while (*end)
        end++;
    return (size_t)(end - text);
}

int strcmp(const char *a, const char *b)
{
    while (*a && *a == *b) {
        a++;
        b++;
    }
    return (unsigned char)*a - (unsigned char)*b;
}

int strncmp(const char *a, const char *b, size_t size)
{
    while (size > 0 && *a && *a == *b) {
        a++;
        b++;
        size--;
    }
    return size == 0 ? 0 : (unsigned char)*a - (unsigned char)*b;
}

char *strchr(const char *text, int wanted)
{
    while (*text && *text != (char)wanted)
        text++;
    return *text == (char)wanted ? (char *)text : NULL;
}

/* The output of vsnprintf(): text beyond the room is counted, not stored. */
struct output {
    char *text;
    size_t size;
    size_t length;
};

static void put(struct output *out, char c)
{
    if (out->length + 1 < out->size)
        out->text[out->length] = c;
    out->length++;
}

static void put_text(struct output *out, const char *text)
{
    while (*text)
        put(out, *text++);
}

static void put_number(struct output *out, uint64_t number)
{
    char digits[21], *at = digits + sizeof(digits) - 1;

    *at = '\0';
    do {
        *--at = (char)('0' + number % 10);
        number /= 10;
    } while (number);
    put_text(out, at);
}

static void put_signed(struct output *out, int number)
{
    if (number < 0)
        put(out, '-');
    put_number(out, number < 0 ? -(uint64_t)number : (uint64_t)number);
}

/* Supports %s, %c, %d, %u, %lu and %%; the compiler checks the arguments. */
int vsnprintf(char *restrict text, size_t size, const char *restrict format, va_list args)
{
    struct output out = {.text = text, .size = size};

    for (; *format; format++) {
        bool is_long = strncmp(format, "%lu", 3) == 0;

        if (*format != '%') {
            put(&out, *format);
            continue;
        }
        format += is_long ? 2 : 1;
        switch (*format) {
        case 's':
            put_text(&out, va_arg(args, const char *));
            break;
        case 'c':
            put(&out, (char)va_arg(args, int));
            break;
        case 'd':
            put_signed(&out, va_arg(args, int));
            break;
        case 'u':
            put_number(&out, is_long ? va_arg(args, unsigned long) : va_arg(args, unsigned int));
            break;
        default:
            put(&out, *format);
        }
    }
    if (size)
        text[out.length < size ? out.length : size - 1] = '\0';
    return (int)out.length;
}

int snprintf(char *restrict text, size_t size, const char *restrict format, ...)
{
    va_list args;
    int length;

    va_start(args, format);
    length = vsnprintf(text, size, format, args);
    va_end(args);
    return length;
}
