/* tbb::concurrent_lru_cache: a key is looked up together with the function that makes its value
   where it is missing, and stays for as long as a handle is held; of those that nobody holds the
   last ones are kept. One list, one lock. No TTL.

   A get that misses must make something: a value that is not ready, which counts as a miss, and
   which the set that follows makes ready. A set of a key that is there leaves its value as it is:
   nothing in this cache can be replaced. */

#define TBB_PREVIEW_CONCURRENT_LRU_CACHE 1
#include "subject.h"

#include <atomic>
#include <cstring>
#include <memory>
#include <new>
#include <string>
#include <tbb/concurrent_lru_cache.h>

namespace {

struct stored {
    std::atomic<int> state{0}; /* 0: empty, 1: somebody writes, 2: ready */
    std::unique_ptr<char[]> value;
};

using pointer = std::shared_ptr<stored>;

pointer make(const std::string &)
{
    return std::make_shared<stored>();
}

struct cache_of_tbb {
    tbb::concurrent_lru_cache<std::string, pointer, pointer (*)(const std::string &)> lru;
    size_t value_bytes;
    cache_of_tbb(size_t capacity, size_t bytes) : lru(make, capacity), value_bytes(bytes) {}
};

void *create(const subject_config *config)
{
    return new (std::nothrow) cache_of_tbb(config->capacity, config->value_bytes);
}

void destroy(void *cache)
{
    delete static_cast<cache_of_tbb *>(cache);
}

bool get(void *handle, const char *key, size_t key_bytes, void *value)
{
    cache_of_tbb *self = static_cast<cache_of_tbb *>(handle);
    auto found = self->lru[std::string(key, key_bytes)];
    const stored &at = *found.value();
    if (at.state.load(std::memory_order_acquire) != 2) return false;
    memcpy(value, at.value.get(), self->value_bytes);
    return true;
}

bool set(void *handle, const char *key, size_t key_bytes, const void *value)
{
    cache_of_tbb *self = static_cast<cache_of_tbb *>(handle);
    auto found = self->lru[std::string(key, key_bytes)];
    stored &at = *found.value();
    int empty = 0;
    if (!at.state.compare_exchange_strong(empty, 1)) return true;
    at.value.reset(new char[self->value_bytes]);
    memcpy(at.value.get(), value, self->value_bytes);
    at.state.store(2, std::memory_order_release);
    return true;
}

} // namespace

extern "C" const subject subject_measured = {
    "tbb", VERSION, true, false, 0, create, destroy, nullptr, nullptr,
    get, set, nullptr, nullptr, nullptr,
};
