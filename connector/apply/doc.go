// Package apply carries out the changes of a plan. It takes them in the order of their application, with what one sync knows of
// the workspace ([Options]), and returns what became of each ([Changes], [Outcome]): sent once its note in the [Journal] is on
// disk, compared with the answer, and sent in parts where the workspace does not know somebody. What depends on a change that
// was not made is held back. Package connector calls it; package unitycatalog implements [Permissions], audit the journal.
package apply
