select (select count(*) from emission_partitions), count_strays()
