insert into schema_migrations (version, name, checksum) values (:version, :name, md5(:text)) returning version
