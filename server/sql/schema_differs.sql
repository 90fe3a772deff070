-- A migration that was applied in another wording than ours.
select name from schema_migrations where version = :version and checksum <> md5(:text)
