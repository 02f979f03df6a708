package main

import (
	"time"

	lru "github.com/hashicorp/golang-lru"
)

var subject = description{name: "golang-lru", create: createLRU}

type lruCache struct {
	*lru.Cache
}

// It has no TTLs.
func createLRU(capacity int64, _ time.Duration) (cache, error) {
	c, err := lru.New(int(capacity))
	return lruCache{c}, err
}

func (c lruCache) get(key string) ([]byte, bool) {
	value, isHit := c.Get(key)
	if !isHit {
		return nil, false
	}
	return value.([]byte), true
}

func (c lruCache) set(key string, value []byte) bool {
	c.Add(key, value)
	return true
}

func (c lruCache) settle() {}

func (c lruCache) size() int64 {
	return int64(c.Len())
}

func (c lruCache) close() {}
