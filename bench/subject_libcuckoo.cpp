/* libcuckoo's hash map: buckets with a spin lock each. A map: no LRU, no TTL, no bound. */

#include "fast_hash.h"
#include "subject.h"

#include <libcuckoo/cuckoohash_map.hh>
#include <memory>

namespace {

/* What a key is: its text, which the map's own keys keep, and asked ones borrow. */
struct text {
    const char *at;
    size_t bytes;
};

struct text_hash {
    size_t operator()(const text &key) const { return fast_hash(key.at, key.bytes); }
};

struct text_equal {
    bool operator()(const text &a, const text &b) const
    {
        return a.bytes == b.bytes && memcmp(a.at, b.at, a.bytes) == 0;
    }
};

/* A key and its value, in one block. */
using block = std::unique_ptr<char[]>;

struct map {
    libcuckoo::cuckoohash_map<text, block, text_hash, text_equal> table;
    size_t value_bytes;
    map(size_t capacity, size_t bytes) : table(capacity), value_bytes(bytes) {}
};

void *create(const subject_config *config)
{
    return new (std::nothrow) map(config->capacity, config->value_bytes);
}

void destroy(void *cache)
{
    delete static_cast<map *>(cache);
}

bool get(void *handle, const char *key, size_t key_bytes, void *value)
{
    const map *self = static_cast<map *>(handle);
    return self->table.find_fn(text{key, key_bytes}, [&](const block &found) {
        memcpy(value, found.get() + key_bytes, self->value_bytes);
    });
}

bool set(void *handle, const char *key, size_t key_bytes, const void *value)
{
    map *self = static_cast<map *>(handle);
    text wanted{key, key_bytes};
    auto write = [&](block &into) {
        memcpy(into.get() + key_bytes, value, self->value_bytes);
    };
    if (self->table.update_fn(wanted, write)) return true;
    block made(new char[key_bytes + self->value_bytes]);
    memcpy(made.get(), key, key_bytes);
    write(made);
    text own{made.get(), key_bytes};
    if (!self->table.insert(own, std::move(made))) self->table.update_fn(wanted, write);
    return true;
}

int64_t size(void *cache)
{
    return static_cast<int64_t>(static_cast<map *>(cache)->table.size());
}

} // namespace

extern "C" const subject subject_measured = {
    "libcuckoo", VERSION, false, false, 0, create, destroy, nullptr, nullptr,
    get, set, nullptr, size, nullptr,
};
