// Package webhook tells a receiver over HTTP what happens: that a task ended, that a guard refused a plan, that grants were found
// which no policy asks for, that the service is degraded. In: events, stored in the transaction of what they are about
// ([Sender.Put]) or by themselves ([Sender.Publish]). Out: signed POST requests as Standard Webhooks has them, each sent until the
// receiver takes it or it is too old, also after a crash. A receiver may see an event twice, with the same webhook-id.
//
// The receiver is on a public address and speaks https, unless the options say otherwise; that is checked for each connection, so
// that a name server cannot lead requests into the network of the daemon. Redirects are not followed. The serve command calls it.
package webhook
