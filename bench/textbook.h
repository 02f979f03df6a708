/* The textbook's LRU cache with a TTL an entry, for one thread, written to be plainly right: a hit
   moves the key to the recent end; before each request whatever has expired leaves; a miss in a
   full cache takes out the least recently used key. The measure for the cache's hits.

   Keys are numbers from 0. Key k is node k + 1 of a circular list; node 0 is its head, whose
   `older` is the most recent key and whose `newer` is the least recent one. */

#ifndef SARK_BENCH_TEXTBOOK_H
#define SARK_BENCH_TEXTBOOK_H

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define TEXTBOOK_NEVER INT64_MAX

typedef struct textbook_node {
    uint32_t newer, older;
    bool is_resident;
    int64_t deadline_s; /* expired from this second on; TEXTBOOK_NEVER */
} textbook_node;

typedef struct textbook {
    textbook_node *nodes;
    uint32_t capacity, entry_count;
    int64_t next_deadline_s; /* no entry's deadline is smaller */
} textbook;

/* Returns false where there is no memory. */
static inline bool textbook_create(textbook *book, uint32_t capacity, uint32_t key_count)
{
    memset(book, 0, sizeof *book);
    book->capacity = capacity;
    book->next_deadline_s = TEXTBOOK_NEVER;
    book->nodes = calloc((size_t)key_count + 1, sizeof *book->nodes);
    return book->nodes != NULL;
}

static inline void textbook_destroy(textbook *book)
{
    free(book->nodes);
}

static inline void textbook_unlink(textbook *book, uint32_t node)
{
    textbook_node *nodes = book->nodes;
    nodes[nodes[node].newer].older = nodes[node].older;
    nodes[nodes[node].older].newer = nodes[node].newer;
}

static inline void textbook_link_newest(textbook *book, uint32_t node)
{
    textbook_node *nodes = book->nodes;
    nodes[node].newer = 0;
    nodes[node].older = nodes[0].older;
    nodes[nodes[0].older].newer = node;
    nodes[0].older = node;
}

static inline void textbook_remove(textbook *book, uint32_t node)
{
    textbook_unlink(book, node);
    book->nodes[node].is_resident = false;
    book->entry_count--;
}

/* Takes out every entry that has expired. */
static inline void textbook_expire(textbook *book, int64_t now_s)
{
    if (now_s < book->next_deadline_s) return;
    book->next_deadline_s = TEXTBOOK_NEVER;
    uint32_t next;
    for (uint32_t node = book->nodes[0].newer; node != 0; node = next) {
        int64_t deadline_s = book->nodes[node].deadline_s;
        next = book->nodes[node].newer;
        if (deadline_s <= now_s) textbook_remove(book, node);
        else if (deadline_s < book->next_deadline_s) book->next_deadline_s = deadline_s;
    }
}

/* Looks a key up; stores it on a miss, until deadline_s. Returns whether it was a hit. */
static inline bool textbook_request(textbook *book, uint32_t key, int64_t now_s, int64_t deadline_s)
{
    uint32_t node = key + 1;
    textbook_expire(book, now_s);
    if (book->nodes[node].is_resident) {
        textbook_unlink(book, node);
        textbook_link_newest(book, node);
        return true;
    }
    if (book->entry_count == book->capacity) textbook_remove(book, book->nodes[0].newer);
    textbook_link_newest(book, node);
    book->nodes[node].is_resident = true;
    book->nodes[node].deadline_s = deadline_s;
    if (deadline_s < book->next_deadline_s) book->next_deadline_s = deadline_s;
    book->entry_count++;
    return false;
}

#endif
