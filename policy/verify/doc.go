// Package verify compares the policies of a snapshot with the service definition that they follow. In goes a snapshot,
// out comes one whose policies hold what of them cannot be understood ([ranger.Fault]): access types, resources, masks,
// dates and priorities that are none. What follows from a fault is decided in package rules. Package source calls it for
// every version, wherever it came from; package lint for the report.
package verify
