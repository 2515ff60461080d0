// Package ondemand keeps durable tasks and carries them out. A [Task] is submitted to a [Queue], stored before it is
// acknowledged, admitted, claimed by a worker, handed to a [Handler], and ends in a terminal [Status].
package ondemand
