//go:build race

package unitycatalog

const raceDetected = true
