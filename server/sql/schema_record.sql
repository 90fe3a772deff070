insert into schema_migrations (version, name, checksum, oldest_server)
values (:version, :name, md5(:text), :oldest_server)
returning version
