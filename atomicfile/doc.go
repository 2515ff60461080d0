// Package atomicfile replaces files whole. [Write] takes a path, a mode and the new content; whoever reads the path
// meanwhile, or after the machine crashed, finds the old content or the new, never a part. [Create] writes a new file, which is
// there whole or not at all. It is a package of its own, below all others, because the cache of policies, generated keys, kept
// state and the store of tasks need the same sequence of write, sync, rename and sync again, and none of them may import another.
package atomicfile
