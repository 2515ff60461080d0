package client

// ReadEvents is fuzzed by itself: through a server, a stream of bytes is not the input.
var ReadEvents = readEvents
