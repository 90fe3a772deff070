select {emission} from visible_emissions(:caller) m where m.id = :emission_id limit 1
