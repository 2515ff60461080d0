// Package input holds what every document from outside is refused for alike, whether it is a task, a policy or a token:
// duplicate keys ([CheckUnique]), texts that are none ([CheckText]), names one edit away from a known one ([Misspelt]; [Nearest] looks further), and times that
// cannot be meant ([CheckTime], [EpochSeconds]). Bytes, names and times come in, errors go out; it does no I/O.
package input
