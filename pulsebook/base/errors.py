"""The exceptions of Pulsebook: one tree, drawn here with what each also is, and where it is made.

    PulsebookError
        PeriodError (ValueError)                  base.periods
        SettingsError (ValueError)                base.settings
        StoreError (OSError)                      base.store
        CatalogueError (ValueError)               catalogue.checks
        WarehouseError (RuntimeError)             warehouse.errors
            PassingError                          warehouse.errors
            RefusedError                          warehouse.errors
            Occupied                              cli.trial.database
        StatementError (ValueError)               warehouse.statement
        UnfitError (ValueError)                   warehouse.unfit
        UnfinishedDay (ValueError)                warehouse.events
        ParameterError (ValueError)               parameters
        MessageError (ValueError)                 present.messages
        DiffError (ValueError)                    archive.diff
        DocumentError (ValueError)                archive.document
        NoPicture (ValueError)                    archive.pictures
        RecordError (ValueError)                  archive.record
            RecordUnreadable                      archive.record
        Damaged (ValueError)                      archive.record_file
        ChatError (RuntimeError)                  chat.answers
            KeyTaken                              chat.answers
            Refused                               chat.answers
                NotEditable                       chat.answers
            Uncertain                             chat.answers
            Undelivered                           chat.answers
                TryLater                          chat.answers
        KernelMissing (RuntimeError)              execution.engine
        CellFailed (RuntimeError)                 execution.failures
        CellTimedOut (RuntimeError)               execution.failures
        KernelDied (RuntimeError)                 execution.failures
        NotebookFailed (RuntimeError)             runner
            FailedForGood                         runner
        Unreadable (ValueError)                   cli.checks.notebook
        Skipped                                   cli.doctor.findings
        Wrong                                     cli.doctor.findings
        NotTried (RuntimeError)                   cli.trial.attempt
        Failure (RuntimeError)                    local.failure
        ProcessError (RuntimeError)               local.processes
        SampleError                               local.sample
        FolderTaken (RuntimeError)                local.server
        Closed                                    local.spool

Two stand outside, which nothing that catches an Exception may stop: `runner.Killed` (BaseException), and
`execution.interrupts.Interrupted` (KeyboardInterrupt), which brings what a signal's handler raises out of an event loop.
"""


class PulsebookError(Exception):
    """What Pulsebook raises itself. The message says what was expected, what was found and what to do."""
